"""What `deploy/` has starts a server that is well, as it is written there."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement

from strait.cli.commands import ENTRIES
from strait.server.options import OPTIONS, PREFIX
from strait.worker_protocol import worker_pb2
from support.certificates import self_signed

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
_OTHER = {f"{PREFIX}{name}" for name in ("HOST", "PORT", "DB", "LOG_FORMAT", "LOG_LEVEL")}


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile with their arguments, continued lines joined."""
    text = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [
        (name, rest)
        for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)
    ]


def last(name: str) -> str:
    return [rest for found, rest in instructions() if found == name][-1]


def environment() -> dict[str, str]:
    return dict(part.split("=", 1) for part in shlex.split(last("ENV")))


def test_the_image_installs_extras_that_there_are() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (install,) = [rest for name, rest in instructions() if name == "RUN" and "pip install" in rest]
    (named,) = [part for part in shlex.split(install) if part.startswith("strait-python")]
    assert Requirement(named).extras <= set(project["optional-dependencies"])
    assert {"server", "cli"} <= Requirement(named).extras
    copied = {part for name, rest in instructions() if name == "COPY" for part in rest.split()[:-1]}
    for path in copied - {"--from=build", "/wheels"}:
        assert (ROOT / path).exists()
    # What the build reads of the project is in the image that builds it.
    assert {project["readme"], *project["license-files"]} <= copied


def test_the_image_runs_as_nobody_in_particular_and_keeps_its_state_in_a_volume() -> None:
    assert last("USER") not in {"root", "0"}
    assert Path(environment()[f"{PREFIX}DB"]).parent == Path(last("VOLUME"))
    assert [name for name, _ in instructions()].index("USER") > 0
    known = {option.variable for option in OPTIONS} | _OTHER
    assert set(environment()) <= known


def _heed_hang_ups() -> None:
    """Have a child heed SIGHUP, also where the tests are run by `nohup`."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.e2e
def test_the_images_command_starts_a_server_that_its_health_check_finds_well(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    given = {
        **os.environ,
        **environment(),
        f"{PREFIX}HOST": "127.0.0.1",
        f"{PREFIX}PORT": str(port),
        f"{PREFIX}DB": str(tmp_path / "strait.db"),
    }
    command = [str(BIN / json.loads(last("CMD"))[0]), *json.loads(last("CMD"))[1:], "--json"]
    program, *arguments = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    check = [str(BIN / program), *arguments]
    assert subprocess.run(check, env=given, capture_output=True, check=False).returncode != 0
    with subprocess.Popen(
        command,
        env=given,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heed_hang_ups,  # noqa: PLW1509 - it sets a signal and nothing else
    ) as server:
        try:
            assert server.stdout is not None
            ready = json.loads(server.stdout.readline())
            assert ready["base_url"].endswith(f":{port}")
            subprocess.run(check, env=given, check=True, timeout=30)
            with socket.create_connection(("127.0.0.1", port)) as stranger:
                stranger.sendall(b"no HTTP at all\r\n\r\n")
                assert stranger.recv(64).startswith(b"HTTP/1.1 400")
        finally:
            # What a terminal sends that is closed ends it in order, too.
            server.send_signal(signal.SIGHUP)
            server.send_signal(signal.SIGHUP)
            _, said = server.communicate(timeout=30)
        assert server.returncode == 0
    assert ready["api_key"] not in said
    # Every line is one for machines, also what a library warns of, and the log begins and ends
    # with the server.
    told = [json.loads(line)["message"] for line in said.splitlines()]
    assert told[0].endswith(f"serves {ready['base_url']}")
    assert "Invalid HTTP request received." in told
    assert told[-2:] == ["stopping: handlers have 10 s to finish what they do", "stopped"]


@pytest.mark.e2e
def test_what_the_server_says_to_people_is_a_line_of_its_log_where_that_is_for_machines(
    tmp_path: Path,
) -> None:
    command = [str(BIN / "strait"), "serve", "--port", "0", "--host", "0.0.0.0", "--db", "a.db"]
    with subprocess.Popen(
        [*command, "--log-format", "json"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr is not None
        said = []
        for line in server.stderr:
            said.append(json.loads(line))
            if said[-1]["message"] == "ctrl-c to stop":
                break
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
    assert {"time", "level", "logger", "message"} == set(said[0])
    assert said[0]["level"] == "warning"
    assert said[0]["message"].startswith("warning: 0.0.0.0 is reachable from the network")
    assert "key in a.db.key" in {line["message"] for line in said}
    key = json.loads((tmp_path / "a.db.key").read_text("utf-8"))["api_key"]
    assert key not in json.dumps(said)


def test_the_unit_of_systemd_starts_what_there_is_and_takes_its_rights_away() -> None:
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # as its documentation says
    unit.read(ROOT / "deploy" / "strait.service")
    service = unit["Service"]
    program, command, *arguments = shlex.split(service["ExecStart"])
    assert program.endswith("/strait")
    context = ENTRIES[command].load().make_context(command, arguments)
    state = Path("/var/lib") / service["StateDirectory"]
    assert context.params["db"].parent == state == Path(service["WorkingDirectory"])
    hardened = ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "DynamicUser")
    assert [service[name] for name in hardened] == ["yes"] * len(hardened)
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""


def test_the_unit_is_started_again_unless_its_settings_are_wrong() -> None:
    text = (ROOT / "deploy" / "strait.service").read_text("utf-8")
    wrong = subprocess.run(
        [BIN / "strait", "serve", "--ephemeral", "--limits", "some"],
        capture_output=True, check=False,
    )  # fmt: skip
    assert f"RestartPreventExitStatus={wrong.returncode}\n" in text
    before, after = text.split("[Service]")
    assert "StartLimitIntervalSec=0\n" in before
    assert "Restart=on-failure\n" in after


def test_the_site_of_nginx_is_for_the_servers_own_addresses_and_names() -> None:
    text = (ROOT / "deploy" / "nginx.conf").read_text("utf-8")
    (command,) = re.findall(r"^#   strait (serve .*)$", text, re.MULTILINE)
    name, *arguments = shlex.split(command)
    context = ENTRIES[name].load().make_context(name, arguments)
    assert f"proxy_pass http://127.0.0.1:{context.params['port']};" in text
    assert f"grpc_pass grpc://127.0.0.1:{context.params['grpc_port']};" in text
    assert f"server_name {context.params['allowed_hosts']};" in text
    service = worker_pb2.DESCRIPTOR.services_by_name["WorkerService"].full_name
    (prefix,) = re.findall(r"location (/\S+) \{\n\s+grpc_pass", text)
    assert f"/{service}/StreamTasks".startswith(prefix)


def test_no_secret_is_in_what_is_deployed() -> None:
    for file in (ROOT / "deploy").iterdir():
        text = file.read_text("utf-8")
        assert not re.search(r"(?i)(secret|key|password)\s*=\s*\w", text), file


# --------------------------------------------------------------------------------- behind a proxy


@pytest.mark.e2e
@pytest.mark.parametrize("keep", ["keep", "strip"])
def test_behind_a_proxy_that_ends_tls_each_client_has_its_own_limits(
    tmp_path: Path, keep: str
) -> None:
    tls = self_signed(tmp_path).both
    command = [
        str(BIN / "strait"), "serve", "--port", "0", "--ephemeral", "--json",
        "--root-path", "/strait", "--trusted-proxies", "127.0.0.1", "--limits", "platform",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as server:
        assert server.stdout is not None
        ready = json.loads(server.stdout.readline())
        port = ready["base_url"].rpartition(":")[2]
        with subprocess.Popen(
            [sys.executable, "-m", "support.proxy", port, "/strait", keep, str(tls)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT / "tests",
        ) as proxy:
            assert proxy.stdin is not None
            assert proxy.stdout is not None
            try:
                outside = f"https://127.0.0.1:{proxy.stdout.readline().strip()}/strait"
                _ask_as_two_clients(outside, ready, tls)
                _lie_about_the_address(ready)
            finally:
                proxy.stdin.close()
                proxy.wait(30)
                server.send_signal(signal.SIGTERM)
                server.wait(30)


def _ask_as_two_clients(outside: str, ready: dict[str, str], tls: Path) -> None:
    import ssl

    trust = ssl.create_default_context(cafile=str(tls))
    headers = {"Authorization": f"Bearer {ready['api_key']}"}
    with httpx.Client(base_url=outside, headers=headers, verify=trust) as client:
        assert client.get("/health/ready").json() == {"status": "ready"}
        first = {"X-Test-Client": "203.0.113.1"}
        answers = [client.get("/v1/stats", headers=first) for _ in range(101)]
        assert [answer.status_code for answer in answers] == [200] * 100 + [429]
        assert int(answers[-1].headers["retry-after"]) <= 60
        other = client.get("/v1/stats", headers={"X-Test-Client": "203.0.113.2"})
        assert other.status_code == 200


def _lie_about_the_address(ready: dict[str, str]) -> None:
    """Only the proxy is believed, and here the test speaks from the proxy's own address."""
    headers = {
        "Authorization": f"Bearer {ready['api_key']}",
        "X-Forwarded-For": "203.0.113.1, 203.0.113.3",
    }
    answer = httpx.get(f"{ready['base_url']}/v1/stats", headers=headers)
    # The nearest address that is no proxy counts, whatever stands before it.
    assert answer.status_code == 200


@pytest.mark.e2e
def test_without_trusted_proxies_nobody_is_believed(tmp_path: Path) -> None:
    command = [str(BIN / "strait"), "serve", "--port", "0", "--ephemeral", "--json"]
    command += ["--limits", "platform"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as server:
        try:
            assert server.stdout is not None
            ready = json.loads(server.stdout.readline())
            with httpx.Client(
                base_url=ready["base_url"],
                headers={"Authorization": f"Bearer {ready['api_key']}"},
            ) as client:
                answers = [
                    client.get("/v1/stats", headers={"X-Forwarded-For": f"203.0.113.{n}"})
                    for n in range(101)
                ]
            assert answers[-1].status_code == 429
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
