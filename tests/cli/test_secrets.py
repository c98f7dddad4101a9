"""No secret lies in a file, a log, an error or a command line: looked for in a real process."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.handlers import PATIENCE_SECS, Handlers

from .processes import TARGET, running

pytestmark = pytest.mark.e2e

INTERNAL = "internal-hush-0123456789abcdef"
SIGNING = "esec_hush_0123456789abcdef0123456789"
VALUE = "value-hush-0123456789abcdef"
TOKEN = "drain-hush-0123456789abcdef"
SOURCE = "source-hush-0123456789abcdef"
# The two files that are there to keep a secret, for nobody but their owner.
KEEPERS = {"dev.db.key", "dev.db.secrets"}


def command_lines(pid: int) -> str:
    """The command lines of a process and of all below it, as everybody on the machine sees them."""
    found = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return "\n".join([found, *(command_lines(int(child)) for child in children)])


def contents_of(directory: Path) -> dict[str, bytes]:
    """What is in each file."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def modes_in(directory: Path) -> dict[str, int]:
    """Who may do what with the files of the database."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.glob("dev.db*")}


async def _use(base_url: str, headers: dict[str, str], handlers: Handlers) -> list[str]:
    """Give the platform secrets of every kind, have it make some, and return all of them."""
    async with httpx.AsyncClient(base_url=base_url, headers=headers) as api:
        own = {"project_id": "proj_local"}

        async def post(path: str, **body: Any) -> dict[str, Any]:
            answer = await api.post(path, json=body)
            assert answer.status_code in {200, 201}, answer.text
            made: dict[str, Any] = answer.json()
            return made

        environment = await post("/v1/environments", name="E", slug="e", **own)
        secret = {"secret_key": "A", "value": VALUE, "environment": environment["id"]}
        await post("/v1/secrets", **secret, **own)
        job = await post(
            "/v1/jobs", name="J", slug="j", endpoint_url=handlers.url,
            environment_id=environment["id"], endpoint_signing_secret=SIGNING, **own,
        )  # fmt: skip
        hook = await post(
            "/v1/webhooks/subscriptions", webhook_url=handlers.url, event_types=["run.completed"],
            **own,
        )  # fmt: skip
        await post(
            "/v1/log-drains", name="D", drain_type="http", endpoint_url=handlers.url,
            auth_type="bearer", auth_config={"token": TOKEN}, **own,
        )  # fmt: skip
        source = {"signature_secret": SOURCE, "signature_header": "X-Sig"}
        await post(
            "/v1/event-sources", name="S", signature_algorithm="hmac-sha256", **source, **own
        )
        key = await post("/v1/api-keys", name="k", scopes=["jobs:read"], expires_in_days=1, **own)
        stream = (await post("/v1/sse-token"))["token"]
        await _follow(base_url, stream)
        run = await post(f"/v1/jobs/{job['id']}/trigger")
        (call, *_) = await handlers.wait(1, run["id"])
        assert SIGNING not in str(call.headers)
        secrets = [INTERNAL, SIGNING, VALUE, TOKEN, SOURCE, hook["signing_secret"], key["key"],
                   stream, call.token,
                   headers["Authorization"].removeprefix("Bearer ")]  # fmt: skip
        # Requests that are refused, with secrets where they do not belong.
        for shown in secrets:
            wrong = await api.get("/v1/jobs", headers={"Authorization": f"Bearer {shown}x"})
            assert wrong.status_code == 401
            odd = await api.post("/v1/secrets", json={**secret, "value": [shown], **own})
            assert odd.status_code == 400
            bad = await api.post("/v1/api-keys", content=b'{"name":"' + shown.encode())
            answers = wrong.text + odd.text + bad.text + await _refused(base_url, shown)
            assert not any(text in answers for text in secrets)
        async with asyncio.timeout(PATIENCE_SECS):
            while (await api.get(f"/v1/runs/{run['id']}")).json()["status"] != "completed":
                await handlers.wait(len(handlers.received) + 1)
        return secrets


_ACTIVITY = "/v1/projects/proj_local/activity/stream"


async def _follow(base_url: str, token: str) -> None:
    """Open an event stream as a browser does, with the token in the address."""
    async with (
        httpx.AsyncClient(base_url=base_url) as browser,
        browser.stream("GET", _ACTIVITY, params={"token": token}) as answer,
    ):
        assert answer.status_code == 200
        first = await anext(answer.aiter_text())
        assert token not in first + str(answer.headers)


async def _refused(base_url: str, secret: str) -> str:
    """Give a secret as a token that it is not; return what was answered."""
    async with httpx.AsyncClient(base_url=base_url) as browser:
        answers = [
            await browser.get(path, params={"token": f"{secret}x"})
            for path in (_ACTIVITY, "/v1/events/key/stream")
        ]
        assert [answer.status_code for answer in answers] == [401, 401]
        return "".join(answer.text for answer in answers)


async def test_no_secret_is_written_down_anywhere(tmp_path: Path, handlers: Handlers) -> None:
    arguments = ("serve", "--port", "0", "--db", "dev.db", "--json", "--log-level", "debug")
    with running(*arguments, cwd=tmp_path, INTERNAL_SECRET=INTERNAL) as platform:
        secrets = await _use(platform.base_url, platform.headers, handlers)
        modes = modes_in(tmp_path)
        lines = command_lines(platform.process.pid)
        # What is not yet in the file is in the log beside it.
        files = contents_of(tmp_path)
        assert await asyncio.to_thread(platform.stop) == 0
    files |= {f"{name}, stopped": text for name, text in contents_of(tmp_path).items()}
    for secret in secrets:
        assert secret not in lines
        for name, content in files.items():
            keeps = name.removesuffix(", stopped") in KEEPERS
            assert keeps or secret.encode() not in content, f"{name} has {secret}"
    assert len(files["stderr.txt"]) > 1_000  # it did log what it was asked
    assert {mode for name, mode in modes.items() if name != "dev.db.lock"} == {0o600}, modes


def test_handlers_get_their_secrets_by_no_command_line(tmp_path: Path) -> None:
    (tmp_path / "target.py").write_text(TARGET)
    arguments = ("dev", "target.py", "--port", "0", "--db", "dev.db", "--json")
    with running(*arguments, cwd=tmp_path) as platform:
        lines = command_lines(platform.process.pid)
        children = lines.count("strait.serve.standby")
        assert children >= 1, lines
        assert "esec_" not in lines
        assert platform.ready["api_key"] not in lines
        assert platform.stop() == 0
