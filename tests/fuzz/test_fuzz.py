"""A small run of the fuzzer, always the same, and proof that it sees what is wrong."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fuzz.checks import faults
from fuzz.drive import fuzz
from fuzz.known import Known, kind_of
from fuzz.requests import Caller, Request, Requests
from fuzz.values import Place
from fuzz.wire import Answer
from strait.server._generated.routes import ROUTES

REQUESTS = 2_500
SEED = 7
HEADERS = {
    "content-type": "application/json",
    "x-request-id": "r",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'",
}
GET_JOB = next(route for route in ROUTES if route.id == "get-job")


@pytest.mark.e2e
@pytest.mark.timeout(300)  # on a machine with other work it has taken two minutes
async def test_no_request_breaks_the_server_or_the_description(tmp_path: Path) -> None:
    report = await fuzz(tmp_path, requests=REQUESTS, seed=SEED, workers=2)
    assert not report.faults, str(report)
    assert report.requests == REQUESTS
    # It has to get past the checks at the door to find anything behind it.
    assert len(report.succeeded) > 230, str(report)


def test_the_same_seed_makes_the_same_requests() -> None:
    one, other = _requests(5), _requests(5)
    assert [str(one.next()) for _ in range(300)] == [str(other.next()) for _ in range(300)]


def test_ids_of_answers_go_into_later_requests() -> None:
    known = Known()
    known.learn("/v1/jobs", {"data": [{"id": "j-1", "group_id": "g-1"}], "has_more": False})
    rng = random.Random(0)
    assert (known.pick("job", rng), known.pick("group", rng)) == ("j-1", "g-1")
    assert kind_of("jobID") == kind_of("job_id") == kind_of("depends_on_job_id") == "job"


def test_what_is_in_a_state_and_within_something_else_is_found_again() -> None:
    known = Known()
    for number, status in enumerate(["completed", "dead_letter", "completed"]):
        known.learn("/v1/runs", {"data": [{"id": f"r-{number}", "status": status}]})
    rng = random.Random(0)
    assert {known.pick("run", rng, ("dead_letter",)) for _ in range(20)} == {"r-1"}
    rows = [{"id": f"v-{n}", "version_id": f"v-{n}", "job_id": "j-1"} for n in range(2)]
    known.learn("/v1/jobs/{jobID}/versions", {"data": rows}, [("job", "j-1")])
    known.learn("/v1/jobs", {"id": "j-2"})
    version = known.find("version", rng, outer=["job"])
    assert version is not None
    assert ("job", "j-1") in version.around
    assert known.sibling("version", version, rng) in {"v-0", "v-1"} - {version.text}


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, b'{"error":{"code":"internal_error","message":"x"}}', "answered 500"),
        (501, b'{"error":{"code":"internal_error","message":"x"}}', "answered 501"),
        (418, b"{}", "this status is not described"),
        (200, b'{"id":1}', "$.id must be string"),
        (200, b"{", "is no JSON"),
        (404, b'{"error":{"code":"not_found","message":"Traceback (most"}}', "a traceback"),
        (404, b'{"error":{"code":"not_found","message":"hush-hush"}}', "shows a secret"),
    ],
)
def test_it_sees_an_answer_that_is_wrong(status: int, body: bytes, said: str) -> None:
    request = Request(GET_JOB, "/v1/jobs/j-1")
    found = faults(request, Answer(status, HEADERS, body), _place(), ("hush-hush",))
    assert any(said in line for line in found), found


def test_it_sees_a_success_that_should_have_been_a_refusal() -> None:
    answer = Answer(200, HEADERS, b"{}")
    place = _place()
    broken = Request(GET_JOB, "/v1/jobs/j-1", refused="`name` is no string")
    stranger = Request(GET_JOB, "/v1/jobs/j-1", unauthorized=True)
    assert any("although `name` is no string" in line for line in faults(broken, answer, place, ()))
    assert any("without credentials" in line for line in faults(stranger, answer, place, ()))


def _place() -> Place:
    return Place("proj", "org", "http://127.0.0.1:1/", datetime(2026, 1, 2, tzinfo=UTC))


def _requests(seed: int) -> Requests:
    caller = Caller(_place(), "strait_x", Known(), "internal", ())
    return Requests(random.Random(seed), caller)
