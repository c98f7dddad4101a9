"""Who the client says it is, and what a program can import ahead of its first call."""

from __future__ import annotations

import platform as system
import subprocess
import sys
from typing import Any

import httpx
import httpx2
import pytest

import strait
from strait import ConfigurationError, ValidationError, __version__
from tests.client.conftest import JOB, KEY, Harness, Platform
from tests.client.sockets import Wire, answers


def test_a_request_says_what_sent_it_and_for_which_program(
    either: Harness, platform: Platform
) -> None:
    platform.answers_with(200, JOB)
    client = either.client(app_info=("my-app", "1.0"))
    either.run(lambda: client.jobs.get("job_1"))
    assert platform.last.headers["x-sdk-version"] == __version__
    assert platform.last.headers["user-agent"] == (
        f"strait-python/{__version__} Python/{system.python_version()} {system.system()} "
        f"httpx/{httpx.__version__} my-app/1.0"
    )


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_the_library_that_sends_is_the_one_that_is_named(library: Any) -> None:
    name = library.__name__
    with Wire(answers(b"{}"), answers(b"{}")) as wire:
        for given in ({"transport": name}, {"http_client": library.Client()}):
            with strait.Client(base_url=wire.url, api_key=KEY, **given) as client:
                agent = client.with_options()._settings.headers["user-agent"]
                assert client.get("/v1/x") == {}
            assert agent.split()[-1] == f"{name}/{library.__version__}"
        given["http_client"].close()


@pytest.mark.parametrize("app_info", [("my app", "1"), ("a", ""), ("a\n", "1"), "ab", ("a",)])
def test_a_program_without_a_proper_name_is_refused(app_info: object) -> None:
    with pytest.raises(ConfigurationError, match="`app_info` must be a name and a version"):
        strait.Client(api_key=KEY, app_info=app_info)  # type: ignore[arg-type] # it is wrong


def test_after_a_preload_the_first_call_imports_nothing() -> None:
    program = (
        "import strait, sys; strait.preload('jobs'); c = strait.Client(api_key='k');"
        "before = set(sys.modules); c.jobs.list; print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_service_that_is_none_cannot_be_preloaded() -> None:
    with pytest.raises(ValidationError, match="no service `job`; services are admin_dlq, "):
        strait.preload("job")
