"""`strait dev TARGET`: what it hosts, what it says to people, and targets that cannot be."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import httpx
import pytest

from strait import Client, RunFailedError

from .processes import TARGET, Running, running, strait

pytestmark = pytest.mark.e2e


@pytest.fixture
def target(tmp_path: Path) -> Path:
    file = tmp_path / "hello.py"
    file.write_text(TARGET)
    return file


def lines_until(platform: Running, last: str) -> list[str]:
    """What it says to people, up to a line; nothing but the file can be waited for."""
    import time

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if last in platform.stderr:
            return platform.stderr.splitlines()
        assert platform.process.poll() is None, platform.stderr
        time.sleep(0.02)  # another process writes it
    raise AssertionError(platform.stderr)


def test_a_target_is_hosted_and_its_jobs_run(tmp_path: Path, target: Path) -> None:
    with (
        running("dev", target.name, "--port", "0", "--ephemeral", "--json", cwd=tmp_path) as dev,
        Client(base_url=dev.base_url, api_key=dev.ready["api_key"]) as client,
    ):
        (job,) = client.jobs.list()
        run = client.jobs.trigger(job.id, payload={"name": "you"})
        for _ in client.runs.stream(run.id):
            pass
        assert client.runs.get(run.id).result == {"hello": "you"}
        assert dev.stop() == 0


@pytest.mark.parametrize("kind", ["module", "attribute", "directory"])
def test_a_target_may_be_a_module_one_of_its_names_or_a_directory(
    tmp_path: Path, target: Path, kind: str
) -> None:
    named = {"module": "hello", "attribute": "hello:job", "directory": "shop"}[kind]
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "main.py").write_text(TARGET)
    with running("dev", named, "--port", "0", "--ephemeral", "--json", cwd=tmp_path) as dev:
        listed = httpx.get(f"{dev.base_url}/v1/jobs", headers=dev.headers).json()["data"]
    assert [job["slug"] for job in listed] == ["hello"]


def test_people_are_told_what_runs_where_and_in_which_file_the_key_is(
    tmp_path: Path, target: Path
) -> None:
    with running("dev", target.name, "--port", "0", cwd=tmp_path) as dev:
        lines = lines_until(dev, "ctrl-c to stop")
        assert dev.stop() == 0
    told = {line.split()[0]: line.split()[-1] for line in lines if line.startswith("  ")}
    assert told["job"] == "hello.py:8"
    assert told["project"] == "proj_local"
    assert told["key"] == ".strait/dev.db.key"
    assert told["api"].startswith("http://127.0.0.1:")
    key = (tmp_path / ".strait" / "dev.db.key").read_text().split('"')[-2]
    assert key.startswith("strait_")
    assert key not in "\n".join(lines)


def test_an_ephemeral_platform_tells_its_key_because_no_file_has_it(tmp_path: Path) -> None:
    with running("dev", "--port", "0", "--ephemeral", cwd=tmp_path) as dev:
        lines = lines_until(dev, "ctrl-c to stop")
        url = next(line.split()[-1] for line in lines if line.startswith("  api"))
        key = next(line.split()[-1] for line in lines if line.startswith("  key"))
        assert httpx.get(f"{url}/jobs", headers={"Authorization": f"Bearer {key}"}).is_success


def test_handlers_get_the_address_and_project_of_the_platform(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.py").write_text(
        TARGET.replace("run=hello", 'run=hello, project_id="proj-9", endpoint_url="https://x.test"')
    )
    with running(
        "dev", "elsewhere.py", "--port", "0", "--ephemeral", "--json", cwd=tmp_path
    ) as dev:
        (job,) = httpx.get(f"{dev.base_url}/v1/jobs", headers=dev.headers).json()["data"]
        said = dev.stderr
    assert job["project_id"] == "proj_local"
    assert job["endpoint_url"].startswith("http://127.0.0.1:")
    assert said.count("  note ") == 2
    assert "proj-9" in said
    assert "https://x.test" in said


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (None, "nothing.py"),
        ("x = 1\n", "nothing.py"),
        ("raise RuntimeError('broken on purpose')\n", "broken on purpose"),
        ("import not_there_at_all\n", "not_there_at_all"),
        ("def broken(:\n", "nothing.py"),
    ],
    ids=["no file", "no definitions", "raises", "a missing import", "no Python"],
)
def test_a_target_that_cannot_be_ends_with_1_and_says_why(
    tmp_path: Path, text: str | None, named: str
) -> None:
    if text is not None:
        (tmp_path / "nothing.py").write_text(text)
    arguments = ("nothing.py", "--port", "0", "--ephemeral", "--no-reload")
    done = strait("dev", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("strait: cannot serve `nothing.py`: ")
    assert named in last
    assert "strait/cli" not in done.stderr, "no traceback of ours"


def test_the_error_of_an_import_is_shown_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("\n\nraise RuntimeError('on purpose')\n")
    arguments = ("broken.py", "--port", "0", "--ephemeral", "--no-reload")
    done = strait("dev", *arguments, cwd=tmp_path)
    assert 'broken.py", line 3' in done.stderr


def test_a_directory_without_main_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = strait("dev", "empty", "--port", "0", "--ephemeral", cwd=tmp_path)
    assert done.returncode == 1
    assert "`main.py`" in done.stderr.splitlines()[-1]


def test_what_handlers_log_is_lines_for_machines_where_the_log_is(tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(
        "from strait.authoring import job\n"
        "@job(max_attempts=1)\n"
        "def here(payload, ctx):\n"
        "    raise ValueError('no good')\n"
        "@job(max_attempts=1, isolation='process')\n"
        "def apart(payload, ctx):\n"
        "    import logging\n"
        "    logging.getLogger('shop').warning('told apart')\n"
        "JOBS = [here, apart]\n"
    )
    options = ("--port", "0", "--ephemeral", "--json", "--log-format", "json")
    with (
        running("dev", "failing.py", *options, cwd=tmp_path) as dev,
        Client(base_url=dev.base_url, api_key=dev.ready["api_key"]) as client,
    ):
        for job in client.jobs.list():
            with contextlib.suppress(RunFailedError):
                client.jobs.trigger_and_wait(job.id, timeout=30)
        assert dev.stop() == 0
        said = [json.loads(line) for line in dev.stderr.splitlines()]
    (failed,) = (line for line in said if line["logger"] == "strait.serve")
    assert failed["message"].endswith("the handler of job `here` failed")
    assert "ValueError: no good" in failed["error"]
    assert "told apart" in {line["message"] for line in said if line["logger"] == "shop"}
