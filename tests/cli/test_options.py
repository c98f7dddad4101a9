"""`strait --help`, and the options of `strait dev` and `strait serve`."""

from __future__ import annotations

import json
import signal
import socket
import stat
from pathlib import Path

import httpx
import pytest

from strait._version import __version__

from .processes import TARGET, running, strait

pytestmark = pytest.mark.e2e


@pytest.fixture
def target(tmp_path: Path) -> Path:
    file = tmp_path / "hello.py"
    file.write_text(TARGET)
    return file


def test_help_names_the_commands(tmp_path: Path) -> None:
    shown = strait("--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert {"config", "dev", "serve"} <= set(shown.stdout.split())
    assert strait("--version", cwd=tmp_path).stdout == f"strait, version {__version__}\n"


def test_what_is_no_option_is_told(tmp_path: Path) -> None:
    done = strait("dev", "--prot", "1", cwd=tmp_path)
    assert done.returncode == 2
    assert "--port" in done.stderr, "the nearest option is named"
    assert strait("serve", "hello.py", cwd=tmp_path).returncode == 2
    done = strait("serve", "--port", "99999", cwd=tmp_path)
    assert done.returncode == 2
    assert "99999 is not in the range 0<=x<=65535" in done.stderr


def test_a_setting_that_cannot_be_is_a_wrong_command_line(tmp_path: Path) -> None:
    done = strait("serve", "--query-secs", "soon", cwd=tmp_path)
    said = "strait: --query-secs: 'soon' is not more than 0 seconds\n"
    assert (done.returncode, done.stderr) == (2, said)
    (tmp_path / "strait.json").write_text("{")
    for command in ("dev", "serve"):
        done = strait(command, "--port", "0", cwd=tmp_path)
        assert done.returncode == 2, "the configuration is wrong"
        assert done.stderr.startswith("strait: invalid JSON in config file `")
    assert not (tmp_path / ".strait").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("jobs list --limit 0", "'--limit': 0 is not in the range x>=1"),
        ("runs replay --status failed --limit -1", "'--limit': -1 is not in the range x>=1"),
        ("runs watch r --timeout 0", "'--timeout': 0.0 is not in the range x>0"),
        ("trigger greet --wait --timeout nan", "'--timeout': nan is no number of seconds"),
        ("workflows trigger order --timeout inf", "'--timeout': inf is no number of seconds"),
        ("schedules next greet --count 0", "'--count': 0 is not in the range 1<=x<=1000"),
        ("worker app.py --slots 257", "'--slots': 257 is not in the range 1<=x<=256"),
        ("worker app.py --ca-file none.pem", "'--ca-file': File 'none.pem' does not exist"),
    ],
)
def test_a_number_that_cannot_be_is_refused_with_those_that_can(
    tmp_path: Path, words: str, said: str
) -> None:
    done = strait(*words.split(), cwd=tmp_path)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_a_variable_that_cannot_be_is_named_and_no_flag(tmp_path: Path) -> None:
    for value, said in (("soon", "'soon' is no whole number"), ("99999", "99999 is not in the")):
        done = strait("serve", "--ephemeral", cwd=tmp_path, STRAIT_SERVER_PORT=value)
        assert done.returncode == 2
        assert done.stderr.startswith(f"strait: `STRAIT_SERVER_PORT`: {said}"), done.stderr
    done = strait("serve", "--port", "soon", cwd=tmp_path, STRAIT_SERVER_PORT="1")
    assert done.stderr.startswith("strait: invalid value for '--port': 'soon' is no whole number")


def test_what_no_file_says_is_told_how_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "strait.json").write_text('{"server": {"port": 1}}')
    done = strait("serve", "--ephemeral", cwd=tmp_path)
    right = "give `--port`, or set `STRAIT_SERVER_PORT`"
    said = f"strait: `strait.json`: `server.port` is no setting of the file; {right}\n"
    assert (done.returncode, done.stderr) == (2, said)
    (tmp_path / "strait.json").write_text('{"server": {"max_in_flite": 1}}')
    done = strait("serve", "--ephemeral", cwd=tmp_path)
    assert done.stderr.endswith("is no setting; did you mean `server.max_in_flight`?\n")


@pytest.mark.parametrize("host", ["", " "])
def test_no_address_is_not_every_address(tmp_path: Path, host: str) -> None:
    done = strait("serve", "--ephemeral", "--host", host, cwd=tmp_path)
    assert done.returncode == 2
    assert "name an address, such as 127.0.0.1" in done.stderr


def test_no_database_is_told(tmp_path: Path) -> None:
    done = strait("serve", "--db", "", cwd=tmp_path)
    assert done.returncode == 2
    assert "name a file, or leave the option out" in done.stderr


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (("--db", "torn.db"), 1, "file is not a database"),
        (("--ephemeral", "--max-in-flight", "0"), 2, "--max-in-flight: '0' is not"),
    ],
)
def test_a_start_that_fails_is_a_line_of_the_log(
    tmp_path: Path, options: tuple[str, ...], code: int, told: str
) -> None:
    (tmp_path / "torn.db").write_text("no database")
    done = strait("serve", *options, "--log-format", "json", cwd=tmp_path)
    (line,) = map(json.loads, done.stderr.splitlines())
    assert (done.returncode, line["level"]) == (code, "error")
    assert told in line["message"]


def test_where_it_cannot_listen_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = strait("serve", "--port", str(port), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"strait: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    done = strait("serve", "--host", "127.0.0.300", "--port", "0", cwd=tmp_path)
    assert done.stderr.splitlines()[-1].startswith("strait: cannot listen on 127.0.0.300:0: ")


@pytest.mark.parametrize("command", ["dev", "serve"])
def test_one_line_of_json_says_where_it_is_and_how_to_get_in(tmp_path: Path, command: str) -> None:
    with running(command, "--port", "0", "--json", cwd=tmp_path) as platform:
        assert set(platform.ready) == {"base_url", "api_key", "project_id"}
        assert platform.ready["project_id"] == "proj_local"
        answer = httpx.get(f"{platform.base_url}/v1/jobs", headers=platform.headers)
        assert answer.json()["data"] == []
        assert platform.stop() == 0
        assert platform.process.stdout is not None
        # A platform without code says so to the person at the terminal, and to nobody else.
        assert [line for line in platform.stderr.splitlines() if "no code here" not in line] == []
    assert (tmp_path / ".strait" / "dev.db").exists()


def test_it_binds_loopback_unless_told_otherwise(tmp_path: Path) -> None:
    with running("serve", "--port", "0", "--ephemeral", "--json", cwd=tmp_path) as platform:
        url = httpx.URL(platform.base_url)
        assert url.host == "127.0.0.1"
        with socket.socket() as probe:
            # The whole of 127.0.0.0/8 is this machine; what binds every address answers there too.
            assert probe.connect_ex(("127.0.0.2", url.port or 0)) != 0


def test_another_address_is_bound_when_asked_for_with_a_warning(tmp_path: Path) -> None:
    arguments = ("serve", "--host", "0.0.0.0", "--port", "0", "--ephemeral")
    with running(*arguments, "--json", cwd=tmp_path) as platform:
        assert platform.base_url.startswith("http://0.0.0.0:")
        assert "reachable from the network" in platform.stderr


def test_the_port_is_the_one_that_was_asked_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = strait("serve", "--port", port, "--ephemeral", cwd=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert refused.stderr.startswith("strait: ")
    with running("serve", "--port", port, "--ephemeral", "--json", cwd=tmp_path) as platform:
        assert platform.base_url == f"http://127.0.0.1:{port}"


def test_ephemeral_leaves_nothing(tmp_path: Path) -> None:
    with running("serve", "--port", "0", "--ephemeral", "--json", cwd=tmp_path) as platform:
        assert platform.stop(signal.SIGINT) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["stderr.txt"]


def test_project_and_key_can_be_given_and_are_found_again(tmp_path: Path) -> None:
    given = ("--project", "proj-1", "--api-key", "strait_of_mine")
    with running("serve", "--port", "0", "--json", *given, cwd=tmp_path) as platform:
        assert platform.ready["project_id"] == "proj-1"
        assert platform.ready["api_key"] == "strait_of_mine"
        assert platform.stop() == 0
    with running("serve", "--port", "0", "--json", cwd=tmp_path) as platform:
        assert platform.ready["project_id"] == "proj-1"
        assert platform.ready["api_key"] == "strait_of_mine"
        assert httpx.get(f"{platform.base_url}/v1/jobs", headers=platform.headers).is_success


def test_a_key_may_come_from_the_environment_where_no_process_list_shows_it(
    tmp_path: Path,
) -> None:
    arguments = ("serve", "--port", "0", "--ephemeral", "--json")
    key = "strait_from_the_environment"
    with running(*arguments, cwd=tmp_path, STRAIT_DEV_API_KEY=key) as platform:
        assert platform.ready["api_key"] == key


def test_a_key_of_another_project_is_refused_in_one_line(tmp_path: Path) -> None:
    key = ("--api-key", "strait_of_mine")
    with running("serve", "--port", "0", "--json", "--project", "a", *key, cwd=tmp_path) as first:
        assert first.stop() == 0
    done = strait("serve", "--port", "0", "--project", "b", *key, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "strait: the API key belongs to project `a`\n"


def test_the_key_is_kept_for_the_owners_eyes_and_told_nowhere_else(
    tmp_path: Path, target: Path
) -> None:
    arguments = ("dev", target.name, "--port", "0", "--db", "state/p.db", "--json")
    with running(*arguments, cwd=tmp_path) as platform:
        secret = platform.ready["api_key"]
        assert platform.stop() == 0
        assert secret not in platform.stderr
    kept = tmp_path / "state" / "p.db.key"
    assert secret in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    database = (tmp_path / "state" / "p.db").read_bytes()
    assert secret.encode() not in database, "only its hash is stored"


def test_a_second_process_on_the_same_database_is_refused_in_one_line(tmp_path: Path) -> None:
    with running("serve", "--port", "0", "--json", cwd=tmp_path) as owner:
        refused = strait("dev", "--port", "0", cwd=tmp_path)
        assert refused.returncode == 1
        assert refused.stderr.count("\n") == 1
        assert f"process {owner.process.pid}, serving {owner.base_url}" in refused.stderr
        assert httpx.get(f"{owner.base_url}/health").is_success
