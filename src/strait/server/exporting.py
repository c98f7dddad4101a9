"""Sending the spans of a server to a collector, where the variables of OpenTelemetry name one.

The exporter reads its own variables (headers, certificates, time limits); what is looked at here is
whether there is a collector, and by which protocol it is spoken to. A program that was started with
a provider of its own, as by `opentelemetry-instrument`, keeps that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from importlib import import_module
from threading import Thread
from typing import Any

logger = logging.getLogger("strait.server")

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
# By protocol: the exporter, and what has it.
_EXPORTERS = {
    "http/protobuf": ("opentelemetry.exporter.otlp.proto.http.trace_exporter",
                      "'strait-python[otlp]'"),
    "grpc": ("opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
             "'strait-python[otlp]' opentelemetry-exporter-otlp-proto-grpc"),
}  # fmt: skip
_FLUSH_SECS = 5.0


class Export:
    """Spans on their way to a collector.

    Args:
        provider: the provider that was set for this; None where there was one already.
    """

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    async def stop(self) -> None:
        """Send what is left, for a few seconds at most: the collector may be gone."""
        if self._provider is not None:
            last = Thread(target=self._provider.shutdown, name="strait-spans", daemon=True)
            last.start()
            await asyncio.to_thread(last.join, _FLUSH_SECS)


def begin(environment: Mapping[str, str]) -> Export | None:
    """Have the spans of this process sent to the collector that the environment names.

    Where something is missing for that, one line in the log says what to install.

    Returns:
        What sends them; None if nobody asked for it, or if it cannot be done.
    """
    named = _first(environment, _ENDPOINTS)
    if not named or _is_off(environment):
        return None
    protocol = environment.get(_first(environment, _PROTOCOLS)) or "http/protobuf"
    if protocol not in _EXPORTERS:
        known = " or ".join(f"`{each}`" for each in _EXPORTERS)
        logger.warning("no spans are sent to %s: its protocol must be %s", named, known)
        return None
    module, package = _EXPORTERS[protocol]
    try:
        return Export(_provider(module, environment))
    except ModuleNotFoundError as error:
        logger.warning(
            "no spans are sent to %s: `%s` is missing; pip install %s", named, error.name, package
        )
        return None


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str:
    """Return the first of some variables that says something, or ""."""
    return next((name for name in names if environment.get(name)), "")


def _is_off(environment: Mapping[str, str]) -> bool:
    disabled = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return disabled or environment.get("OTEL_TRACES_EXPORTER") == "none"


def _provider(module: str, environment: Mapping[str, str]) -> Any:
    """Set the provider of this process and return it; None where there is one.

    Raises:
        ModuleNotFoundError: the SDK or the exporter is not installed.
    """
    # Nobody who exports nothing needs any of it.
    trace = import_module("opentelemetry.trace")
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return None
    sdk = import_module("opentelemetry.sdk.trace")
    exporter = import_module(module).OTLPSpanExporter()
    said = environment.get("OTEL_SERVICE_NAME"), environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    own = {} if said[0] or "service.name=" in said[1] else {"service.name": "strait"}
    resource = import_module("opentelemetry.sdk.resources").Resource.create(own)
    provider = sdk.TracerProvider(resource=resource, shutdown_on_exit=False)
    processor = import_module("opentelemetry.sdk.trace.export").BatchSpanProcessor(exporter)
    provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    return provider
