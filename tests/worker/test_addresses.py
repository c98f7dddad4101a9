"""Where workers connect: plain on this machine, with TLS anywhere else."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from strait.authoring import JobOptions, define_job
from strait.errors import ConfigurationError
from strait.server.run import Server
from strait.server.settings import Settings
from strait.store.connection import StoreError
from strait.worker import Worker
from support.certificates import self_signed
from support.handlers import Handlers
from support.world import world as a_world

from .test_worker import Setting


async def test_with_a_certificate_workers_are_served_with_tls(
    handlers: Handlers, tmp_path: Path
) -> None:
    async def secret(payload: object, ctx: object) -> str:
        return "over tls"

    files = self_signed(tmp_path)
    tls = {"grpc_tls_cert": files.certificate, "grpc_tls_key": files.key}
    async with a_world(handlers, grpc_port=0, **tls) as world:
        setting = Setting(world)
        # Who names certificates means TLS, on this machine as elsewhere.
        async with setting.working({"secret": secret}, ca_file=files.certificate):
            assert (await setting.run("secret"))["result"] == "over tls"


def test_certificates_are_not_ignored_where_tls_is_turned_off(tmp_path: Path) -> None:
    job = define_job(
        JobOptions(name="a", slug="a", run=lambda payload, ctx: None, execution_mode="worker")
    )
    with pytest.raises(ConfigurationError, match="`ca_file` is for TLS, which `tls=False` turns"):
        Worker([job], api_key="strait_k", tls=False, ca_file=self_signed(tmp_path).certificate)


async def test_a_file_without_certificates_is_not_tried_for_ever(tmp_path: Path) -> None:
    job = define_job(
        JobOptions(name="a", slug="a", run=lambda payload, ctx: None, execution_mode="worker")
    )
    (tmp_path / "ca.pem").write_text("no certificate")
    worker = Worker([job], addr="127.0.0.1:1", api_key="strait_k", ca_file=tmp_path / "ca.pem")
    with pytest.raises(ConfigurationError, match=r"ca\.pem` has no certificates: give a PEM"):
        await worker.run()


@pytest.mark.parametrize("wrong", ["grpc_tls_cert", "grpc_tls_key", "both of another"])
async def test_a_certificate_that_cannot_serve_is_no_address_that_is_taken(
    tmp_path: Path, wrong: str
) -> None:
    files = self_signed(tmp_path)
    pair = {"grpc_tls_cert": files.certificate, "grpc_tls_key": files.key}
    if wrong in pair:
        pair[wrong] = tmp_path / "garbage.pem"
        pair[wrong].write_text("garbage")
    else:
        (tmp_path / "other").mkdir()
        pair["grpc_tls_key"] = self_signed(tmp_path / "other").key
    with pytest.raises(StoreError, match="are no certificate and its key: give PEM files that"):
        async with Server(Settings(port=0, grpc_port=0, **pair)):
            pytest.fail("it was served")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"grpc_host": "0.0.0.0"}, "workers would send their keys to 0.0.0.0 in plain text; give"),
        ({"grpc_tls_cert": Path("c.pem")}, "`--grpc-tls-cert` and `--grpc-tls-key` go together"),
        (
            {"grpc_tls_cert": Path("c.pem"), "grpc_tls_key": Path("gone.pem")},
            "`gone.pem` cannot be read: No such file",
        ),
    ],
)
async def test_an_address_that_would_not_be_safe_is_not_served(
    settings: dict[str, object], text: str
) -> None:
    with pytest.raises(StoreError, match=text):
        async with Server(Settings(port=0, grpc_port=0, **settings)):
            pytest.fail("it was served")


async def test_a_port_that_is_taken_is_said_to_be() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port}: the address is in use"):
            async with Server(Settings(port=0, grpc_port=port)):
                pytest.fail("it was served")


async def test_without_grpc_both_sides_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("strait.server.workers.listener", "strait.worker.connection"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(StoreError, match=r"`--grpc-port` needs `grpc`: pip install 'strait-python"):
        async with Server(Settings(port=0, grpc_port=0)):
            pytest.fail("it was served")
    job = define_job(
        JobOptions(name="a", slug="a", run=lambda payload, ctx: None, execution_mode="worker")
    )
    worker = Worker([job], api_key="strait_k", base_url="http://127.0.0.1:1")
    with pytest.raises(
        Exception, match=r"a worker needs `grpc`: pip install 'strait-python\[grpc\]"
    ):
        await worker.run()
