"""The log: one line a call, the attempts behind it, and nothing secret anywhere."""

from __future__ import annotations

import logging
import os
import pickle
import re
import subprocess
import sys
import traceback
from typing import Any

import pytest

from strait import ApiError, Client, ConfigurationError
from strait.client import logs
from tests.client.conftest import JOB, KEY, Harness, Platform
from tests.client.sockets import Wire, answers

ID = {"x-request-id": "req_1"}


def told(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "strait.http" and record.levelno == level
    ]


def test_a_call_is_one_line_however_often_it_was_sent(
    either: Harness, platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    platform.answers_with(503)
    platform.answers_with(200, JOB, ID)
    with caplog.at_level(logging.INFO, "strait.http"):
        either.run(lambda: either.client().jobs.get("job_1", headers={"x-secret": "s3cret"}))
    (line,) = told(caplog, logging.INFO)
    assert re.fullmatch(r"GET /v1/jobs/job_1 200 \d+ ms req_1 \(2 attempts\)", line)


def test_a_call_that_failed_is_a_line_too(
    either: Harness, platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    platform.answers_with(404, headers=ID)
    with caplog.at_level(logging.INFO, "strait.http"), pytest.raises(ApiError.__mro__[1]):
        either.run(lambda: either.client().jobs.get("job_1"))
    (line,) = told(caplog, logging.INFO)
    assert re.fullmatch(r"GET /v1/jobs/job_1 404 \d+ ms req_1", line)


def test_each_attempt_is_told_with_its_headers_where_more_is_asked_for(
    either: Harness, platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    platform.answers_with(200, JOB, {**ID, "set-cookie": "session=s3cret"})
    with caplog.at_level(logging.DEBUG, "strait.http"):
        either.run(lambda: either.client().jobs.create(name="of nobody", slug="a", project_id="p"))
    sent, came = told(caplog, logging.DEBUG)
    assert sent.startswith("POST /v1/jobs {")
    assert "'authorization': '[redacted]'" in sent
    assert came.startswith("POST /v1/jobs 200 {")
    assert not [word for word in ("s3cret", "of nobody", KEY) if word in caplog.text]


def test_what_nobody_reads_is_not_made(
    either: Harness, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> Any:
        raise AssertionError("a line was made that nobody reads")

    monkeypatch.setattr(logs, "redacted", never)
    monkeypatch.setattr(logs, "_line", never)
    monkeypatch.setattr(logs.logger, "level", logging.WARNING)
    logs.logger.manager._clear_cache()
    platform.answers_with(200, JOB)
    assert either.run(lambda: either.client().jobs.get("job_1")).id == "job_1"


def test_no_key_is_in_any_log_repr_or_error(
    either: Harness, platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    platform.answers_with(500, {"error": {"code": "internal_error", "message": "no"}})
    client = either.client(default_headers={"X-Internal-Secret": f"{KEY}-2", "X-Api-Key": KEY})
    with caplog.at_level(logging.DEBUG), pytest.raises(ApiError) as caught:
        either.run(lambda: client.jobs.get("job_1"))
    error = caught.value
    shown = [
        caplog.text,
        *(repr(vars(record)) for record in caplog.records if record.name.startswith("strait")),
        repr(client),
        repr(client._settings),
        repr(error),
        str(error),
        error.to_curl(),
        repr(error.request),
        repr(pickle.loads(pickle.dumps(error)).request),
        "".join(traceback.format_exception(error)),
    ]
    assert caplog.records
    assert not [text for text in shown if KEY in text]


def test_strait_log_shows_calls_without_any_configuration() -> None:
    program = (
        "import strait, sys; c = strait.Client(base_url=sys.argv[1], api_key=sys.argv[2]);"
        "c.jobs.get('job_1'); c.close()"
    )
    for level, lines in (("info", 1), ("debug", 3), ("", 0)):
        with Wire(answers(b'{"id": "job_1"}', "200 OK")) as wire:
            done = subprocess.run(
                [sys.executable, "-W", "error", "-c", program, wire.url, KEY],
                env={**os.environ, "STRAIT_LOG": level},
                capture_output=True,
                text=True,
                check=True,
            )
        assert done.stderr.count(" strait.http GET /v1/jobs/job_1") == lines, done.stderr
        assert KEY not in done.stdout + done.stderr


def test_a_program_that_logs_itself_gets_no_second_handler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = logging.getLogger("strait")
    monkeypatch.setenv("STRAIT_LOG", "info")
    before = list(root.handlers)
    try:
        assert root.hasHandlers(), "those of pytest"
        Client(api_key=KEY).close()
        assert root.handlers == before
        assert root.level == logging.INFO
    finally:
        root.setLevel(logging.NOTSET)


def test_a_level_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRAIT_LOG", "verbose")
    with pytest.raises(ConfigurationError, match="must be `info` or `debug`, not 'verbose'"):
        Client(api_key=KEY)
