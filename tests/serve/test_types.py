"""What a host makes of the annotations of handlers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum

import pytest

from strait.authoring import JobOptions, define_job


@dataclass
class Order:
    id: str
    on: date


@dataclass
class Receipt:
    order: str
    on: date


async def ship(payload: Order, ctx) -> Receipt:
    return Receipt(payload.id, payload.on)


async def test_a_handler_gets_the_object_and_its_result_is_written_as_json(hosting):
    seen = []
    hooks = {
        "on_start": lambda payload, ctx: seen.append(payload),
        "on_success": lambda payload, result, ctx: seen.append((payload, result)),
    }
    dispatch = await hosting(ship, **hooks)
    answer = await dispatch(payload={"id": "o", "on": "2026-01-02"})
    assert (answer.status_code, answer.json()) == (200, {"order": "o", "on": "2026-01-02"})
    order, receipt = Order("o", date(2026, 1, 2)), Receipt("o", date(2026, 1, 2))
    assert seen == [order, (order, receipt)]


async def test_a_payload_that_does_not_fit_fails_the_run_for_good_and_names_the_field(
    hosting, platform
):
    called = []

    def handler(payload: Order, ctx):
        called.append(payload)

    dispatch = await hosting(handler, on_failure=lambda payload, error, ctx: called.append(payload))
    answer = await dispatch(payload={"id": "o", "on": "soon"})
    assert answer.status_code == 422
    assert answer.json()["error"]["type"] == "PayloadError"
    (failed,) = platform.bodies("fail")
    assert failed["error"].startswith("the payload of job `j` does not fit `Order`: `on`: ")
    # The handler was not called, the hook was, with what came.
    assert called == [{"id": "o", "on": "soon"}]


async def test_a_result_of_another_type_than_annotated_is_sent_as_it_can_be(hosting):
    async def handler(payload: Order, ctx) -> Receipt:
        return {"order": payload.id}

    dispatch = await hosting(handler)
    answer = await dispatch(payload={"id": "o", "on": "2026-01-02"})
    assert answer.json() == {"order": "o"}


async def test_the_context_shows_the_payload_as_it_came(hosting):
    async def handler(payload: Order, ctx):
        return ctx.payload

    job = define_job(JobOptions(name="J", slug="j", run=handler))
    dispatch = await hosting(jobs=[job])
    sent = {"id": "o", "on": "2026-01-02", "more": True}
    assert (await dispatch(payload=sent)).json() == sent


class Kind(Enum):
    """A result that is no JSON by itself."""

    TEA = "tea"


@pytest.mark.parametrize(
    ("value", "annotation", "written"),
    [
        (Kind.TEA, Kind, "tea"),
        (Decimal("4.50"), Decimal, "4.50"),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime | None, "2026-01-01T00:00:00Z"),
        ({"b", "a"}, dict[str, int] | set[str], None),
        ((1, Kind.TEA), tuple[int, Kind], [1, "tea"]),
    ],
    ids=["enum", "decimal", "instant", "set", "tuple"],
)
async def test_a_result_that_json_writes_in_another_way_is_written_as_annotated(
    hosting, value, annotation, written
):
    async def run(payload, ctx):
        return value

    run.__annotations__["return"] = annotation
    answer = await (await hosting(run))()
    assert answer.status_code == 200
    got = answer.json()
    assert got == written if written is not None else sorted(got) == ["a", "b"]
