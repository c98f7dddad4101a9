"""Every name that 0.1.1 published leads somewhere, and is called as it was called then.

`published_0_1_1.txt` was made by `inspect` from the published wheel. It has no constructors of
`RunContext`, `AgentRunContext` and `RunContextState`: programs are given those.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from inspect import Parameter

import pytest

from .published import KINDS, Called, calls, find, further_keywords, rest_of, signature_of

CALLS = list(calls())
NAMES = sorted({line.split(" ")[0].split("(")[0] for kind in KINDS for line in rest_of(kind)})
BASES = [line.rstrip(")").split("(") for line in rest_of("class") if "(" in line]
_PLACED = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)

# What `None` means there is what the default was: MIGRATION.md, "timeout_ms".
OTHER_DEFAULTS = {("strait.Client", "timeout_ms"), ("strait.AsyncClient", "timeout_ms")}
# A protocol that asks for less: what implemented the old one implements it.
GONE = {"strait.authoring.RunContextClient.get_payload"}
# `TypedDict`s of 0.1.1 named fields that no platform ever sent; the models take what is sent.
NEVER_SENT = {
    "strait.Deployment": {"workflow_count", "organization_id", "job_count"},
    "strait.Job": {"latest_version", "config", "organization_id"},
    "strait.JobVersion": {"config"},
    "strait.Run": {
        *("cost_microusd", "updated_at", "workflow_run_id", "completed_at", "job_slug"),
        *("usage", "organization_id"),
    },
    "strait.Workflow": {"organization_id"},
    "strait.WorkflowRun": {
        *("result", "updated_at", "completed_at", "workflow_slug", "attempt", "steps"),
        "organization_id",
    },
    "strait.WorkflowRunStep": {"completed_at", "run_id", "step_id"},
    "strait.WorkflowStep": {"name", "type", "job_slug", "config"},
}


def test_the_list_is_the_whole_of_0_1_1() -> None:
    called = [c.name for c in CALLS if c.name.startswith("strait.operations.")]
    assert len({name.rpartition(".")[0] for name in called}) == 2 * 25
    assert len(called) == 2 * 240
    exported = {kind: {n for n in NAMES if n.startswith(kind)} for kind in ("strait.fsm.",)}
    assert len(exported["strait.fsm."]) == 15
    for package, count in {"strait": 39, "strait.authoring": 38, "strait.composition": 24}.items():
        names = {n for n in NAMES if n.rpartition(".")[0] == package}
        assert len(names) == count, package


@pytest.mark.parametrize("name", [name for name in NAMES if name not in GONE])
def test_a_published_name_leads_somewhere(name: str) -> None:
    find(name)


@pytest.mark.parametrize(
    "called", [c for c in CALLS if c.name not in GONE], ids=lambda called: called.name
)
def test_what_was_called_takes_what_it_took(called: Called) -> None:
    assert list(differences(called)) == []


def differences(called: Called) -> Iterator[str]:
    """Say what a published call could be given and is refused today."""
    ours = signature_of(called.name)
    placed = [part for part in ours if part.kind in _PLACED]
    named = {part.name: part for part in ours if part.kind in _NAMED}
    rest = [part for part in ours if part.kind is Parameter.VAR_KEYWORD]
    more = further_keywords(called.name, rest[0]) if rest else set()
    old = [part for part in called.parameters if part.kind is not Parameter.VAR_KEYWORD]
    for place, part in enumerate(part for part in old if part.kind in _PLACED):
        if place >= len(placed):
            yield f"`{part.name}` has no position"
        elif part.kind in _NAMED and placed[place].name != part.name:
            yield f"`{part.name}` is `{placed[place].name}` at its position"
    for part in old:
        if part.kind in _NAMED and part.name not in named and part.name not in more:
            yield f"`{part.name}` is no keyword"
        if part.name in named and (called.name, part.name) not in OTHER_DEFAULTS:
            yield from _defaults(part, named[part.name])
    further = placed[sum(part.kind in _PLACED for part in old) :]
    keywords = [part for part in ours if part.kind is Parameter.KEYWORD_ONLY]
    before = {part.name for part in old}
    for part in further + [part for part in keywords if part.name not in before]:
        if part.default is Parameter.empty:
            yield f"`{part.name}` is required"


def _defaults(old: Parameter, new: Parameter) -> Iterator[str]:
    if old.default is Parameter.empty:
        return
    if new.default is Parameter.empty:
        yield f"`{old.name}` has no default"
    # `...` stands for what is made anew with each call.
    elif old.default is not ... and new.default != old.default:
        yield f"`{old.name}` is {new.default!r} by default, and was {old.default!r}"


def test_a_call_that_takes_less_would_be_noticed() -> None:
    wanted = Parameter("body", Parameter.POSITIONAL_OR_KEYWORD)
    name = "strait.operations.secrets.SecretsService.get"
    key = Parameter("secret_id", Parameter.POSITIONAL_OR_KEYWORD)
    assert list(differences(Called(name, (key,)))) == []
    assert list(differences(Called(name, (key, wanted)))) == [
        "`body` has no position",
        "`body` is no keyword",
    ]
    assert list(differences(Called(name, ()))) == ["`secret_id` is required"]
    defaulted = wanted.replace(name="secret_id", default="x")
    assert list(differences(Called(name, (defaulted,)))) == ["`secret_id` has no default"]


@pytest.mark.parametrize("line", rest_of("enum"), ids=lambda line: line.split(" ")[0])
def test_an_enum_has_its_members(line: str) -> None:
    name, *members = line.split(" ")
    for key, _, value in (member.partition("=") for member in members):
        assert find(name)[key] == find(name)(value) == value


@pytest.mark.parametrize(("name", "bases"), BASES, ids=[name for name, _ in BASES])
def test_a_class_has_the_bases_that_it_was_caught_by(name: str, bases: str) -> None:
    assert set(bases.split(", ")) <= {base.__name__ for base in find(name).__mro__}


@pytest.mark.parametrize("line", rest_of("fields"), ids=lambda line: line.split(" ")[0])
def test_a_class_has_its_fields(line: str) -> None:
    name, *fields = line.split(" ")
    cls = find(name)
    known = {*dir(cls), *getattr(cls, "model_fields", ())}
    if dataclasses.is_dataclass(cls):
        known |= {field.name for field in dataclasses.fields(cls)}
    # `state` of a context is set when one is made.
    missing = set(fields) - known - ({"state"} if name.endswith("RunContext") else set())
    assert missing == NEVER_SENT.get(name, set())
