"""What `strait doctor` looks at of the platform: settings, answer, key, clock, handlers."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from strait._version import __version__
from strait.cli import lookup, output
from strait.cli.doctor import Finding, fail, ok, warn
from strait.cli.failures import CommandError, ExitCode
from strait.cli.places import describe
from strait.cli.session import pages
from strait.errors import ConfigurationError, HttpError, StraitError, UnauthorizedError

if TYPE_CHECKING:
    from strait.cli.session import Session
    from strait.errors import Json

_SIGNING_SECRET = "STRAIT_SIGNING_SECRET"  # noqa: S105 - the name of a variable
_SLOW_MS = 1_000
_SKEW_WARN_SECS = 5
# Signatures are believed for five minutes.
_SKEW_FAIL_SECS = 300
_HANDLER_TIMEOUT_SECS = 3.0
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_GOOD = 2


def findings(session: Session) -> Iterator[Finding]:
    """Look at the platform that commands here are for."""
    for line in session.strays:
        yield warn("settings", *line.split("; ", 1))
    try:
        place = session.place
    except ConfigurationError as error:
        yield fail("settings", str(error), "`strait config` shows what is set, and where")
        return
    except CommandError as error:
        if error.code is not ExitCode.UNREACHABLE:
            raise
        yield warn("platform", *error.format_message().split(" — ", 1))
        return
    yield ok("settings", f"{describe(place)}, from {place.source}")
    answered = yield from _answers(session)
    if not answered:
        return
    jobs = yield from _key(session)
    if jobs is not None:
        yield from _handlers(jobs)


def _answers(session: Session) -> Generator[Finding, None, bool]:
    """Ask whether it is well; returns whether it answers."""
    began = time.monotonic()
    try:
        health: Json = session.client.health.list()
    except CommandError as error:
        about = "platform" if error.code is ExitCode.UNREACHABLE else "key"
        yield fail(about, *error.format_message().split(" — ", 1))
        return False
    except StraitError as error:
        advice = "start it (`strait dev`), or correct STRAIT_BASE_URL"
        yield fail("platform", f"does not answer: {error}", advice)
        return False
    took_ms = round((time.monotonic() - began) * 1000)
    text = f"{health.get('status')}, version {health.get('version')}, {took_ms} ms"
    if health.get("status") not in {"ok", "healthy"}:
        yield warn("platform", text, "look at its own logs; it works in part")
    elif took_ms > _SLOW_MS:
        yield warn("platform", text, "the network or the platform is slow")
    elif reasons := _not_ready(session):
        yield fail("platform", f"not ready: {reasons}", "look at its disk, and at its own logs")
    else:
        yield ok("platform", text)
    yield from _versions(session, str(health.get("version", "")))
    yield _clock(health.get("timestamp"))
    return True


def _not_ready(session: Session) -> str:
    """Return why a platform that answers cannot work; "" if it can, or tells nobody."""
    try:
        session.client.with_options(max_retries=0).health.get_ready()
    except HttpError as error:
        told = error.body if isinstance(error.body, dict) else {}
        reasons = told.get("reasons")
        return "; ".join(map(str, reasons)) if isinstance(reasons, list) else ""
    return ""


def _versions(session: Session, served: str) -> Iterator[Finding]:
    if session.place.is_local and served and served != __version__:
        text = f"the platform is {served}, this is {__version__}"
        yield warn("versions", text, "stop it and start it with this installation")


def _clock(stamp: str | None) -> Finding:
    if not stamp:
        return ok("clock", "the platform tells no time")
    skew = (datetime.now(UTC) - output.parsed(stamp)).total_seconds()
    text = f"{abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} the platform's"
    advice = "let both machines take their time from the network (NTP)"
    if abs(skew) > _SKEW_FAIL_SECS:
        return fail("clock", f"{text}; signatures are refused", advice)
    if abs(skew) > _SKEW_WARN_SECS:
        return warn("clock", text, advice)
    return ok("clock", f"within {_SKEW_WARN_SECS} s of the platform's")


def _key(session: Session) -> Generator[Finding, None, list[Json] | None]:
    """Use the key; returns the jobs that it shows, None if it shows none."""
    try:
        jobs = list(pages(session.client.jobs.list, lookup.MANY))
    except UnauthorizedError as error:
        advice = "set STRAIT_API_KEY to a key of this platform with `jobs:read`"
        yield fail("key", str(error), advice)
        return None
    except StraitError as error:
        yield fail("platform", str(error), "try again; tell its operator")
        return None
    yield _scopes(session)
    return jobs


def _scopes(session: Session) -> Finding:
    token = session.place.auth.token if session.place.auth else ""
    try:
        keys = list(pages(session.client.api_keys.list, lookup.MANY))
    except HttpError:
        return ok("key", "is accepted; which scopes it has, it may not ask")
    for key in keys:
        if key.get("key_prefix") and token.startswith(key["key_prefix"]):
            scopes = ", ".join(key.get("scopes") or ()) or "none"
            ends = key.get("expires_at")
            return ok("key", f"scopes {scopes}" + (f", until {output.when(ends)}" if ends else ""))
    return ok("key", "is accepted")


def _handlers(jobs: list[Json]) -> Iterator[Finding]:
    places: dict[str, list[str]] = {}
    for job in jobs:
        if job.get("execution_mode") != "worker" and job.get("endpoint_url"):
            base = job["endpoint_url"].rpartition("/jobs/")[0] or job["endpoint_url"]
            places.setdefault(base, []).append(job["slug"])
    for base, slugs in places.items():
        yield _handler(base, slugs)
    away = [base for base in places if urlsplit(base).hostname not in _LOOPBACK]
    if away and not os.environ.get(_SIGNING_SECRET):
        text = f"{_SIGNING_SECRET} is not set here, and {away[0]} is on the network"
        yield warn("secret", text, "set it for `strait deploy` and for the host of the handlers")


def _handler(base: str, slugs: list[str]) -> Finding:
    import httpx

    what = f"{base} ({output.count(len(slugs), 'job')})"
    began = time.monotonic()
    try:
        answer = httpx.get(f"{base}/health", timeout=_HANDLER_TIMEOUT_SECS)
    except httpx.HTTPError as error:
        text = f"{what} cannot be reached from here: {type(error).__name__}"
        return warn("handlers", text, "start their host; a platform elsewhere may still reach it")
    took_ms = round((time.monotonic() - began) * 1000)
    if answer.status_code // 100 != _GOOD:
        text = f"{what} answers {answer.status_code} to /health"
        return warn("handlers", text, "is it the host of the handlers (`strait.serve.asgi`)?")
    return ok("handlers", f"{what}, {took_ms} ms")
