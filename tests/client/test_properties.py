"""What holds for any settings, pages, streams, queries and answers."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strait import Client, Config, PaginationError, StraitError
from strait.client.address import query_string
from strait.client.sse import EventParser
from strait.config import config_from_file
from strait.errors import ConfigurationError
from strait.models import Job
from strait.server._generated.routes import ROUTES
from strait.server.decode import decode_query
from strait.server.schema import Query, Route

from .conftest import JOB, KEY

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
SCALARS |= st.text()
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)

# ---------------------------------------------------------------------------------- settings

TOKEN = "tok-5e9f1c0d"
ADDRESSES = st.sampled_from(["https://a.test", "http://b.test:8080/", "https://c.test/base"])
TIMEOUTS = st.integers(1, 10**6)
VARIABLES = ("BASE_URL", "API_KEY", "AUTH_TYPE", "TIMEOUT_MS", "PROJECT")
# An environment variable cannot hold a NUL or a lone surrogate.
ODD_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@contextmanager
def surroundings(document: str | None, environment: dict[str, str]) -> Iterator[Path]:
    """A folder with a `strait.json`, and an environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STRAIT_")}
    with tempfile.TemporaryDirectory() as folder:
        if document is not None:
            (Path(folder) / "strait.json").write_text(document, "utf-8")
        with patch.dict(os.environ, {**kept, **environment}, clear=True):
            yield Path(folder)


def chosen(*values: Any, default: Any) -> Any:
    return next((value for value in values if value is not None), default)


@given(
    st.tuples(*[st.none() | ADDRESSES] * 3),
    st.tuples(*[st.none() | TIMEOUTS] * 3),
)
def test_arguments_win_over_the_environment_and_it_over_the_file(
    addresses: tuple[str | None, ...], timeouts: tuple[int | None, ...]
) -> None:
    sdk = {"base_url": addresses[2], "timeout_ms": timeouts[2]}
    document = {"sdk": {name: value for name, value in sdk.items() if value is not None}}
    environment = {"STRAIT_API_KEY": TOKEN}
    if addresses[1] is not None:
        environment["STRAIT_BASE_URL"] = addresses[1]
    if timeouts[1] is not None:
        environment["STRAIT_TIMEOUT_MS"] = str(timeouts[1])
    arguments: Any = {}
    if addresses[0] is not None:
        arguments["base_url"] = addresses[0]
    if timeouts[0] is not None:
        arguments["timeout_ms"] = timeouts[0]
    with (
        surroundings(json.dumps(document), environment) as folder,
        Client.from_file(search_dir=str(folder), **arguments) as client,
    ):
        found = client.base_url, client._settings.timeout
    assert found == (
        chosen(*addresses, default="https://api.strait.dev").rstrip("/"),
        chosen(*timeouts, default=30_000) / 1000,
    )


@given(JSON | st.dictionaries(st.sampled_from(["sdk", "project", "environments"]), JSON))
@example({"sdk": {"base_url": "http://[::1"}})
@example({"sdk": {"base_url": "https://a.test:99999"}})
@example({"project": {"id": 5}})
def test_any_file_is_read_or_refused_by_our_own_error(document: Any) -> None:
    with surroundings(json.dumps(document), {"STRAIT_API_KEY": TOKEN}) as folder:
        found = outcome(folder)
    assert isinstance(found, Config | ConfigurationError)
    assert TOKEN not in f"{found!s}{found!r}"


@given(st.dictionaries(st.sampled_from(VARIABLES), ODD_TEXTS | ADDRESSES | st.just(TOKEN)))
@example({"BASE_URL": "https://user:tok-5e9f1c0d@a.test", "API_KEY": TOKEN})
def test_any_environment_is_read_or_refused_and_no_token_is_told(
    environment: dict[str, str],
) -> None:
    variables = {f"STRAIT_{name}": value for name, value in environment.items()}
    with surroundings("{}", variables) as folder:
        found = outcome(folder)
    assert isinstance(found, Config | ConfigurationError)
    if TOKEN in environment.get("API_KEY", "") and list(environment.values()).count(TOKEN) < 2:
        assert TOKEN not in f"{found!s}{found!r}"


def outcome(folder: Path) -> Config | StraitError:
    try:
        return config_from_file(search_dir=str(folder))
    except StraitError as error:
        return error


# ------------------------------------------------------------------------------------- pages


def platform_of(pages: list[Any]) -> Client:
    """Return a client of a platform whose cursors are the numbers of its pages."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=pages[int(request.url.params.get("cursor", 0))])

    http = httpx.Client(transport=httpx.MockTransport(answer))
    return Client(base_url="https://platform.test", api_key=KEY, http_client=http, retry=None)


@given(st.lists(st.lists(st.uuids().map(str), max_size=3), min_size=1, max_size=5), st.data())
def test_all_items_of_all_pages_come_once_and_a_circle_is_an_error(
    ids: list[list[str]], data: st.DataObject
) -> None:
    last = len(ids) - 1
    back = data.draw(st.none() | st.integers(0, last))
    pages: list[Any] = [
        {
            "data": [{**JOB, "id": one} for one in page] or data.draw(st.sampled_from([[], None])),
            "next_cursor": str(number + 1) if number < last else back and str(back),
            "has_more": number < last or bool(back),
        }
        for number, page in enumerate(ids)
    ]
    found: list[str] = []
    client = platform_of(pages)
    if back:
        with pytest.raises(PaginationError):
            found.extend(job.id for job in client.jobs.list())
        found = found[: sum(map(len, ids))]
    else:
        found.extend(job.id for job in client.jobs.list())
    assert found == [one for page in ids for one in page]


ENVELOPE = ("data", "next_cursor", "has_more")


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(ENVELOPE, JSON)))
def test_any_envelope_of_a_page_is_read_or_refused_by_our_own_error(envelope: Any) -> None:
    client = platform_of([envelope])
    try:
        page = client.jobs.list()
    except StraitError:
        return
    assert isinstance(page.data, list)
    assert page.next_cursor is None or isinstance(page.next_cursor, str | int)


# ----------------------------------------------------------------------------------- streams


def reference(data: bytes) -> tuple[list[tuple[str, str, str]], str, float | None]:
    """Read a whole stream as the standard says it, one line after another."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    *lines, _ = re.split(r"\r\n|\r|\n", text)
    events, last_id, retry = [], "", None
    name, parts = "", []
    for line in lines:
        if not line:
            if parts:
                events.append((name or "message", "\n".join(parts), last_id))
            name, parts = "", []
            continue
        key, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if key == "data":
            parts.append(value)
        elif key == "event":
            name = value
        elif key == "id" and "\0" not in value:
            last_id = value
        elif key == "retry" and re.fullmatch("[0-9]+", value):
            retry = int(value) / 1000
    return events, last_id, retry


PIECES = st.sampled_from(
    [
        *(b"data", b"event", b"id", b"retry", b":", b": ", b" ", b"7", b"x", b"\0", b"\xff"),
        *(b"\n", b"\r", b"\r\n", b"\n\n", b"data: a\n\n", b"id: 1\r\n", b"retry: 20\r\r"),
        *(b"\xef\xbb\xbf", b"\xe2\x82", b"\xc2\x85", b"\x0b", "\u2028".encode()),
        *("\u00fc".encode(), "\U0001f600".encode()),
    ]
)


@given(st.lists(PIECES, max_size=30).map(b"".join), st.lists(st.integers(0, 5), max_size=90))
@example(b"\xef\xbb\xbfdata: a\r\n\r\n", [1] * 20)
@example(b"data: a\r\r\ndata: b\n\n", [1] * 30)
def test_a_stream_cut_anywhere_is_read_as_the_standard_reads_it_whole(
    data: bytes, cuts: list[int]
) -> None:
    parser = EventParser()
    found = []
    rest = data
    for cut in cuts:
        found += parser.feed(rest[:cut])
        rest = rest[cut:]
    found += parser.feed(rest)
    events, last_id, retry = reference(data)
    assert [(one.event, one.data, one.id) for one in found] == events
    assert (parser.last_id, parser.retry_secs) == (last_id, retry)


# ----------------------------------------------------------------------------------- queries


def values_of(query: Query) -> st.SearchStrategy[Any]:
    """Return what a parameter may be given as, of those values that the platform takes."""
    if query.enum:
        one: st.SearchStrategy[Any] = st.sampled_from(query.enum)
    elif query.type == "integer":
        low = 0 if query.min is None else int(query.min)
        one = st.integers(low, 10**6 if query.max is None else int(query.max))
    elif query.type == "number":
        one = st.floats(0.5, 100, allow_nan=False)
    elif query.type == "boolean":
        one = st.booleans()
    elif query.format == "date-time":
        one = st.datetimes(timezones=st.just(UTC)).filter(lambda moment: moment.year >= 1000)
    elif query.format == "date":
        one = st.dates()
    elif query.format == "json":
        one = JSON.map(json.dumps)
    else:
        plain = st.characters(exclude_categories=["Cs"], exclude_characters=",")
        one = st.text(plain, min_size=1, max_size=8).map(str.strip).filter(bool)
    return st.lists(one, min_size=1, max_size=3) if query.type == "array" else one


def expected(value: Any) -> Any:
    """Return how the server sees a value."""
    if isinstance(value, list):
        return [expected(one) for one in value]
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value.isoformat() if hasattr(value, "isoformat") else value


@given(st.sampled_from([route for route in ROUTES if route.query]), st.data())
def test_the_server_reads_from_a_query_what_the_client_was_given(
    route: Route, data: st.DataObject
) -> None:
    given_values = {query.name: data.draw(values_of(query)) for query in route.query}
    comma = frozenset(query.name for query in route.query if query.style == "comma")
    text = query_string(given_values, comma)
    found = decode_query(route, httpx.URL(f"https://platform.test/?{text}").query)
    assert found == {name: expected(value) for name, value in given_values.items()}


# ----------------------------------------------------------------------------------- answers


@given(st.dictionaries(st.sampled_from([*JOB, "tags", "retry", "of_tomorrow"]), JSON))
def test_any_json_in_any_field_breaks_no_call_and_unknown_fields_come_back(
    fields: dict[str, Any],
) -> None:
    body = {**JOB, **fields}
    job = platform_of([body]).jobs.get("job_1")
    assert isinstance(job, Job)
    shown = job.to_dict()
    assert shown.keys() == body.keys()
    unknown = fields.keys() - Job.model_fields.keys()
    assert {name: shown[name] for name in unknown} == {name: fields[name] for name in unknown}
    assert Job.from_json(job.to_json()).to_dict() == shown
