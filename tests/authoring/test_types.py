"""A handler's annotations are the schema of its payload and the type of its result."""

from __future__ import annotations

import functools
import typing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Annotated, NotRequired, TypedDict
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field

from strait.authoring import (
    AgentOptions,
    DefinitionError,
    JobOptions,
    PayloadError,
    TriggerJobInput,
    define_agent,
    define_job,
)
from strait.authoring.schemas import inlined, misfits
from strait.authoring.triggers import trigger_body

if typing.TYPE_CHECKING:
    from somewhere import Unknown


class Item(BaseModel):
    sku: str
    qty: int = Field(gt=0)


class Order(BaseModel):
    id: str
    items: list[Item]
    note: str | None = None


@dataclass
class Account:
    name: str
    since: date
    tags: list[str] = field(default_factory=list)


class Address(TypedDict):
    street: str
    zip: NotRequired[int]


class Person(TypedDict, total=False):
    name: typing.Required[str]
    home: Address
    others: list[Address]


class Node(BaseModel):
    name: str
    children: list[Node] = []


async def ship(payload: Order, ctx) -> Account:
    return Account(payload.id, date(2026, 1, 2))


def job(run, **options):
    return define_job(JobOptions(name="J", slug="j", run=run, **options))


def schema_of(run):
    return job(run).settings().get("payload_schema")


def test_a_model_is_the_schema_of_the_payload_without_references():
    schema = schema_of(ship)
    assert schema["required"] == ["id", "items"]
    assert schema["properties"]["items"]["items"] == {
        "type": "object",
        "properties": {
            "sku": {"type": "string"},
            "qty": {"type": "integer", "exclusiveMinimum": 0},
        },
        "required": ["sku", "qty"],
    }
    assert "$defs" not in schema


def test_a_schema_that_is_given_is_the_one_that_is_sent():
    assert job(ship, payload_schema={"type": "object"}).settings()["payload_schema"] == {
        "type": "object"
    }


def test_a_model_that_holds_itself_has_a_schema_that_ends():
    def run(payload: Node, ctx):
        return None

    schema = schema_of(run)
    assert schema["properties"]["children"]["items"] == {}
    assert job(run).parse_payload({"name": "a", "children": [{"name": "b"}]}).children[0].name == (
        "b"
    )


def test_payloads_become_what_the_handler_is_annotated_with():
    def of_account(payload: Account, ctx):
        return None

    def of_person(payload: Person, ctx):
        return None

    def of_many(payload: list[Address], ctx):
        return None

    assert job(ship).parse_payload({"id": "o", "items": [{"sku": "s", "qty": 2}]}) == Order(
        id="o", items=[Item(sku="s", qty=2)]
    )
    assert job(of_account).parse_payload({"name": "a", "since": "2026-01-02"}) == Account(
        "a", date(2026, 1, 2)
    )
    person = {"name": "a", "home": {"street": "s"}, "others": [{"street": "t", "zip": 3}]}
    assert job(of_person).parse_payload(person) == person
    assert schema_of(of_person)["required"] == ["name"]
    assert schema_of(of_person)["properties"]["home"]["required"] == ["street"]
    assert job(of_many).parse_payload([{"street": "s"}]) == [{"street": "s"}]


def test_a_payload_that_does_not_fit_names_every_field_and_shows_no_value():
    with pytest.raises(PayloadError) as refusal:
        job(ship).parse_payload({"items": [{"sku": "s", "qty": "secret"}]})
    assert str(refusal.value) == (
        "the payload of job `j` does not fit `Order`: `id`: field required; `items[0].qty`: input "
        "should be a valid integer, unable to parse string as an integer"
    )
    assert len(refusal.value.issues) == 2
    assert "secret" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_an_object_of_the_type_stays_as_it_is():
    order = Order(id="o", items=[])
    assert job(ship).parse_payload(order) is order


def test_annotations_that_say_no_more_than_some_json_ask_for_nothing():
    def bare(payload, ctx):
        return None

    def mapping(payload: dict[str, typing.Any], ctx) -> dict[str, object]:
        return {}

    def unknown(payload: Unknown, ctx) -> Unknown:
        return None

    def anything(*given):
        return None

    for run in (bare, mapping, unknown, anything):
        made = job(run)
        assert (made.payload_type, made.result_type) == (None, None)
        assert "payload_schema" not in made.settings()
        assert made.parse_payload({"a": 1}) == {"a": 1}


def test_the_annotation_is_found_through_wrappers_partials_methods_and_objects():
    def logged(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args)

        return wrapper

    class Shop:
        def ship(self, payload: Order, ctx):
            return None

        def __call__(self, payload: Order, ctx):
            return None

    def shipping(warehouse, payload: Order, ctx):
        return None

    def optional(payload: Annotated[Order, "doc"] | None, ctx):
        return None

    partial = functools.partial(shipping, "north")
    for run in (logged(ship), Shop().ship, Shop(), partial):
        assert job(run).payload_type.name == "Order"
    assert job(optional).parse_payload({"id": "o", "items": []}).id == "o"
    agent = define_agent(AgentOptions(name="A", slug="a", run=ship))
    assert agent.payload_type.name == "Order"


def test_what_a_handler_returns_is_known_and_written_as_its_type_says():
    made = job(ship)
    assert made.result_type.name == "Account"
    assert made.result_type.result_schema()["properties"]["since"]["format"] == "date"
    assert made.result_type.dump(Account("a", date(2026, 1, 2))) == {
        "name": "a",
        "since": "2026-01-02",
        "tags": [],
    }


def test_a_model_with_fields_that_cannot_be_json_is_refused_where_it_is_defined():
    class Socket:
        pass

    @dataclass
    class Connection:
        socket: Socket

    def run(payload: Connection, ctx):
        return None

    # Its module's names are strings here; a closure makes the class known.
    run.__annotations__["payload"] = Connection
    Connection.__annotations__["socket"] = Socket
    with pytest.raises(DefinitionError, match=r"define_job\(j\): the annotation of the payload"):
        job(run)


def test_models_and_dataclasses_are_sent_as_json():
    class Plain(BaseModel):
        at: datetime
        kind: str = Field(alias="type")

    sent = trigger_body("j", TriggerJobInput(Plain(at=datetime(2026, 1, 1, tzinfo=UTC), type="x")))
    assert sent == {"payload": {"at": "2026-01-01T00:00:00Z", "type": "x"}}
    sent = trigger_body("j", TriggerJobInput(Account("a", date(2026, 1, 2))))
    assert sent == {"payload": {"name": "a", "since": "2026-01-02", "tags": []}}


def test_two_schemas_misfit_only_where_that_is_certain():
    given = {"type": "object", "properties": {"n": {"type": "string"}, "m": {"type": "integer"}}}
    wanted = {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "m": {"type": "number"}},
        "required": ["n", "z"],
    }
    assert misfits(given, wanted) == [
        "`z` is needed and is not there",
        "`n` is a string, not an integer",
    ]
    assert misfits({}, wanted) == []
    assert misfits(given, {}) == []
    optional = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert misfits(optional, {"type": "string"}) == []
    assert misfits(optional, {"type": "boolean"}) == ["it is a string, not a boolean"]


def test_references_beside_other_words_keep_them():
    schema = {"$defs": {"A": {"type": "string"}}, "$ref": "#/$defs/A", "description": "d"}
    assert inlined(schema) == {"type": "string", "description": "d"}


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    at: datetime
    who: UUID
    pair: tuple[int, int]


def test_a_strict_model_takes_what_json_has_for_its_types():
    job = define_job(
        JobOptions(name="j", slug="j", endpoint_url="https://w.test", run=takes_strict)
    )
    who = UUID(int=1)
    given = {"at": "2026-01-01T00:00:00Z", "who": str(who), "pair": [1, 2]}
    expected = Strict(at=datetime(2026, 1, 1, tzinfo=UTC), who=who, pair=(1, 2))
    assert job.parse_payload(given) == expected
    assert job.parse_payload(expected) is expected
    with pytest.raises(PayloadError, match=r"`pair\[0\]`: input should be a valid integer"):
        job.parse_payload({**given, "pair": ["1", 2]})


async def takes_strict(payload: Strict, ctx):
    return None
