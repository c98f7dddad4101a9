"""`check`: what of a workflow cannot work is told before it runs."""

from __future__ import annotations

from enum import IntEnum
from typing import NotRequired, TypedDict

import pytest
from pydantic import BaseModel

from strait.authoring import (
    JobOptions,
    WorkflowOptions,
    check,
    define_job,
    define_workflow,
    job_step,
    sleep_step,
    sub_workflow_step,
    wait_for_event_step,
)


class User(BaseModel):
    mail: str
    tags: list[str] = []


class Order(BaseModel):
    id: int
    user: User
    note: str | None = None
    extra: dict[str, int] = {}


class Paid(BaseModel):
    total: int
    receipt: str


class PayOutputs(TypedDict):
    pay: Paid


class Shipping(TypedDict):
    id: int
    parent_outputs: PayOutputs


class WrongPaid(TypedDict):
    total: str
    missing: int


class WrongOutputs(TypedDict):
    pay: WrongPaid


class WrongShipping(TypedDict):
    parent_outputs: WrongOutputs


class OptionalOutputs(TypedDict):
    pay: NotRequired[Paid]


class OptionalShipping(TypedDict):
    parent_outputs: OptionalOutputs


class TotalOutputs(TypedDict):
    pay: int


class TotalShipping(TypedDict):
    parent_outputs: TotalOutputs


class Paint(BaseModel):
    id: str
    color: str


class Colored(BaseModel):
    color: str


def define(slug, run, **options):
    return define_job(JobOptions(name=slug, slug=slug, run=run, **options))


def pay_job(**options):
    def pay(payload: Order, ctx) -> Paid:
        return Paid(total=1, receipt="r")

    return define("pay", pay, **options)


def ship_job():
    def ship(payload: Shipping, ctx) -> None:
        return None

    return define("ship", ship)


def flow(*steps, slug="order", **options):
    return define_workflow(
        WorkflowOptions(
            name="W", slug=slug, steps=list(steps), **{"payload_type": Order, **options}
        )
    )


def told(*definitions):
    return [(finding.step, finding.text) for finding in check(*definitions)]


def test_a_workflow_whose_parts_fit_has_no_findings():
    order = flow(
        job_step("pay", pay_job(), payload={"note": "for {{user.mail}} of {{extra.shop}}"}),
        job_step("ship", ship_job(), depends_on=["pay"]),
        wait_for_event_step("arrived", "arrived.{{user.tags.0}}.{{id}}", depends_on=["ship"]),
        sleep_step(
            "rest",
            1,
            depends_on=["pay"],
            condition={"type": "step_status", "step_ref": "pay", "status": "completed"},
        ),
    )
    assert check(order) == []


def test_an_output_of_the_wrong_type_is_told_at_its_consumer():
    def ship(payload: WrongShipping, ctx):
        return None

    order = flow(
        job_step("pay", pay_job()), job_step("ship", define("ship", ship), depends_on=["pay"])
    )
    assert told(order) == [
        (
            "ship",
            "the payload of job `ship`: `parent_outputs.pay.missing` is needed and is not there",
        ),
        (
            "ship",
            "the payload of job `ship`: `parent_outputs.pay.total` is an integer, not a string",
        ),
    ]
    assert str(check(order)[0]).startswith("workflow `order`, step `ship`: the payload of job")


def test_an_output_of_a_step_that_is_no_dependency_is_told():
    order = flow(
        job_step("pay", pay_job()),
        sleep_step("rest", 1),
        job_step("ship", ship_job(), depends_on=["rest"]),
    )
    assert told(order) == [
        ("ship", "the payload of job `ship`: `parent_outputs.pay` is needed and is not there")
    ]


def test_an_optional_output_of_a_step_that_is_no_dependency_is_told_too():
    def ship(payload: OptionalShipping, ctx):
        return None

    order = flow(sleep_step("rest", 1), job_step("s", define("ship", ship), depends_on=["rest"]))
    ((_, text),) = told(order)
    assert "`parent_outputs.pay` is never there, the step does not depend on it" in text


def test_a_job_that_is_named_by_slug_is_found_among_the_definitions():
    order = flow(job_step("pay", "pay"), job_step("ship", "ship", depends_on=["pay"]))
    wrong = pay_job(result_schema={"type": "object", "properties": {"total": {"type": "string"}}})
    assert check(order) == []
    texts = [text for _, text in told([order, wrong, ship_job()])]
    assert texts == [
        "the payload of job `ship`: `parent_outputs.pay.receipt` is needed and is not there",
        "the payload of job `ship`: `parent_outputs.pay.total` is a string, not an integer",
    ]


def test_a_payload_that_the_run_and_the_step_do_not_give_is_told():
    def paint(payload: Paint, ctx):
        return None

    job = define("paint", paint)
    assert told(flow(job_step("p", job))) == [
        ("p", "the payload of job `paint`: `color` is needed and is not there"),
        ("p", "the payload of job `paint`: `id` is an integer, not a string"),
    ]
    filled = flow(job_step("p", job, payload={"color": "red", "id": "no {{id}}"}))
    assert check(filled) == []
    typed = flow(job_step("p", job, payload={"color": True, "id": "{{user.mail}}"}))
    assert [text for _, text in told(typed)] == [
        "the payload of job `paint`: `color` is a boolean, not a string"
    ]
    assert check(flow(job_step("p", job), payload_type=None)) == []


@pytest.mark.parametrize(
    ("payload", "part"),
    [
        ({"to": "{{user.mial}}"}, "has `{{user.mial}}`, which the payload of the run does not"),
        ({"to": ["x {{nobody}}"]}, "has `{{nobody}}`, which the payload of the run does not have"),
        ({"to": "{{user.tags.0}}"}, "has `{{user.tags.0}}`, which"),
        ({"to": "{{ user.mail }}"}, "has `{{ user.mail }}`, which is no placeholder"),
        ({"to": "{{parent_outputs.pay.total}}"}, "outputs of steps are not seen by templates"),
        ({"to": "{{pay.total}}"}, "outputs of steps are not seen by templates"),
    ],
)
def test_a_placeholder_that_finds_nothing_is_told(payload, part):
    order = flow(
        sleep_step("pay", 1), job_step("mail", "mail", payload=payload, depends_on=["pay"])
    )
    ((step, text),) = told(order)
    assert step == "mail"
    assert part in text


def test_without_a_payload_type_only_what_is_wrong_for_sure_is_told():
    steps = [job_step("a", "a", payload={"x": "{{any.thing}} {{parent_outputs.b}}"})]
    inner = flow(*steps, slug="inner", payload_type=None)
    assert ["parent_outputs.b" in text for _, text in told(inner)] == [True]
    # What a workflow is started with by another may have outputs in it.
    assert check(flow(sub_workflow_step("s", inner))) == []


def test_a_placeholder_in_an_event_key_is_looked_up_too():
    order = flow(wait_for_event_step("w", "paid.{{order_id}}"))
    assert told(order) == [
        ("w", "`event_key` has `{{order_id}}`, which the payload of the run does not have")
    ]


def test_a_sub_workflow_is_checked_and_so_is_what_it_is_given():
    inner = flow(
        job_step("p", "p", payload={"c": "{{colour}}"}), slug="inner", payload_type=Colored
    )
    assert told(flow(sub_workflow_step("s", inner))) == [
        ("s", "the payload of workflow `inner`: `color` is needed and is not there"),
        ("p", "`payload` has `{{colour}}`, which the payload of the run does not have"),
    ]


@pytest.mark.parametrize(
    ("condition", "part"),
    [
        (
            {"type": "step_status", "step_ref": "pya", "status": "completed"},
            "step `pya`, which the",
        ),
        ({"type": "step_status", "step_ref": "late", "status": "failed"}, "must depend on it"),
        ({"type": "step_status", "step_ref": "pay", "status": "success"}, "status 'success'"),
        (
            {"type": "not", "condition": {"type": "eq", "left": {"step_ref": "x"}, "right": "a"}},
            "names step `x`",
        ),
        ({"type": "eq", "left": "{{id}}", "right": "1"}, "has a placeholder"),
        ({"type": "gt", "left": "1", "right": 2}, "cannot be evaluated"),
        ({"type": "equals"}, "unknown condition type"),
    ],
)
def test_a_condition_that_cannot_be_met_is_told(condition, part):
    order = flow(
        sleep_step("pay", 1),
        sleep_step("late", 1),
        sleep_step("s", 1, depends_on=["pay"], condition=condition),
    )
    texts = [text for step, text in told(order) if step == "s"]
    assert len(texts) == 1
    assert part in texts[0]


def test_a_transform_that_finds_nothing_is_told_and_one_that_does_is_followed():
    def ship(payload: TotalShipping, ctx):
        return None

    job = define("ship", ship)
    assert told(flow(job_step("pay", pay_job(), output_transform="totl"))) == [
        ("pay", "`output_transform` is `totl`, which finds nothing in what its job returns")
    ]

    def order(path):
        return flow(
            job_step("pay", pay_job(), output_transform=path),
            job_step("ship", job, depends_on=["pay"]),
        )

    assert check(order("total")) == []
    assert check(order("{total,receipt}")) == []
    assert [text for _, text in told(order("receipt"))] == [
        "the payload of job `ship`: `parent_outputs.pay` is a string, not an integer"
    ]


class Kind(IntEnum):
    SMALL = 1


def test_everything_that_is_json_can_stand_in_a_payload():
    def handler(payload: User, ctx):
        return None

    target = define_job(JobOptions(name="t", slug="t", endpoint_url="https://w.test", run=handler))
    payload = {"mail": "a@b.test", "tags": ("a", "{{id}}"), "kind": Kind.SMALL}
    options = WorkflowOptions(
        name="w", slug="w", payload_type=Order, steps=[job_step("t", target, payload=payload)]
    )
    assert check(define_workflow(options)) == []
    wrong = WorkflowOptions(
        name="w", slug="w", steps=[job_step("t", target, payload={"mail": Kind.SMALL})]
    )
    assert [str(one) for one in check(define_workflow(wrong))] == [
        "workflow `w`, step `t`: the payload of job `t`: `mail` is an integer, not a string"
    ]
