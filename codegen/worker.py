"""Writes `strait.worker_protocol` from `api/worker.proto`, with the compiler of `grpcio-tools`.

The compiler writes no types for the service, so those are written here.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from codegen.output import HEADER

PACKAGE = "strait/worker_protocol"
# A path of its own, so that no other file of the process has the same name in protobuf's table.
_SOURCE = f"{PACKAGE}/worker.proto"
_STUB = """\
from collections.abc import AsyncIterator

import grpc.aio

from strait.worker_protocol.worker_pb2 import {names}

class {service}Stub:
    {method}: grpc.aio.StreamStreamMultiCallable[{request}, {response}]
    def __init__(self, channel: grpc.aio.Channel) -> None: ...

class {service}Servicer:
    def {method}(
        self,
        request_iterator: AsyncIterator[{request}],
        context: grpc.aio.ServicerContext[{request}, {response}],
    ) -> AsyncIterator[{response}]: ...

def add_{service}Servicer_to_server(
    servicer: {service}Servicer, server: grpc.aio.Server
) -> None: ...
"""


def modules(proto: Path) -> dict[str, str]:
    """Return the generated modules by their file names.

    Raises:
        RuntimeError: the compiler refuses the description.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / PACKAGE).mkdir(parents=True)
        (place / _SOURCE).write_bytes(proto.read_bytes())
        _compile(place)
        compiled = {
            file.name: file.read_text("utf-8")
            for file in sorted((place / PACKAGE).glob("worker_pb2*.py*"))
        }
    compiled["worker_pb2_grpc.pyi"] = _stub(proto.read_text("utf-8"))
    return {name: HEADER + text for name, text in compiled.items()}


def _compile(place: Path) -> None:
    done = subprocess.run(  # noqa: S603 - the compiler, with arguments of our own
        [
            *(sys.executable, "-m", "grpc_tools.protoc", f"-I{place}"),
            *(f"--python_out={place}", f"--pyi_out={place}", f"--grpc_python_out={place}"),
            _SOURCE,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the compiler refuses `api/worker.proto`: {done.stderr.strip()}")


def _stub(proto: str) -> str:
    """Return the types of the only method of the only service."""
    (service,) = _words(proto, "service")
    ((method, request, response),) = _methods(proto)
    return _STUB.format(
        service=service,
        method=method,
        request=request,
        response=response,
        names=", ".join(sorted({request, response})),
    )


def _words(proto: str, keyword: str) -> list[str]:
    lines = [line.split() for line in proto.splitlines()]
    return [line[1] for line in lines if line[:1] == [keyword]]


def _methods(proto: str) -> Iterator[tuple[str, str, str]]:
    """Yield name, request and response of each `rpc Name(stream X) returns (stream Y);`."""
    for line in proto.splitlines():
        text = line.strip()
        if text.startswith("rpc "):
            name, taken, given = text.removeprefix("rpc ").removesuffix(";").split("(")
            yield name, taken.partition(")")[0].split()[-1], given.partition(")")[0].split()[-1]
