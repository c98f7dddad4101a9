"""What a host makes of the annotations of handlers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

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
