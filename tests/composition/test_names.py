"""`strait.composition` has every published name, with its parameters and their defaults."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest

import strait
from strait import composition

PUBLISHED = {
    "CostBudgetOptions": "max_cost_microusd, on_warning=None, warning_threshold=0.8",
    "CostTracker": "options",
    "CreateAndFinalizeOutput": "created, finalized",
    "CreateFinalizePromoteOutput": "created, finalized, promoted",
    "PaginatedQuery": "cursor='', limit=0",
    "PaginatedResponse": "data=[], items=[], next_cursor='', has_more=None",
    "Result": "",
    "RetryOptions": "attempts=3, delay_ms=250, factor=2.0, max_delay_ms=30000, "
    "jitter=<JitterStrategy.FULL: 'full'>, should_retry=None",
    "WaitForRunOptions": "timeout_ms=60000, initial_delay_ms=500, max_delay_ms=10000, "
    "factor=1.5, is_terminal=None",
    "collect_all": "iterator",
    "create_and_finalize_deployment": "client, create_body, finalize_body=None",
    "create_cost_tracker": "options",
    "create_finalize_promote_deployment": "client, create_body, finalize_body=None, "
    "promote_body=None",
    "paginate": "list_fn, *, limit=0",
    "trigger_and_wait": "trigger_fn, get_run, get_id, get_status, input, opts=None",
    "trigger_and_wait_async": "trigger_fn, get_run, get_id, get_status, input, opts=None",
    "wait_for_run": "get_run, get_status, run_id, opts=None",
    "wait_for_run_async": "get_run, get_status, run_id, opts=None",
    "with_checkpoint_resume": "ctx, last_checkpoint, fn, initial_state, checkpoint_interval=1",
    "with_cost_budget": "fn, options",
    "with_idempotency": "headers, key",
    "with_idempotency_header": "headers, key, header_name",
    "with_retry": "fn, opts=None",
    "with_retry_async": "fn, opts=None",
}
METHODS = {
    "CostTracker": {"add", "current", "remaining", "is_exceeded"},
    "Result": {"ok", "err", "is_ok", "is_err", "unwrap", "unwrap_err", "match", "from_func"},
}
ASYNC = {"with_checkpoint_resume", "with_cost_budget"}


def parameters(thing: Any) -> str:
    """Return a signature without its types."""
    if dataclasses.is_dataclass(thing):
        return ", ".join(_field(field) for field in dataclasses.fields(thing))
    signature = inspect.signature(thing)
    bare = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
    return str(inspect.Signature(bare)).strip("()")


def _field(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return f"{field.name}={field.default_factory()!r}"
    bare = field.default is dataclasses.MISSING
    return field.name if bare else f"{field.name}={field.default!r}"


def test_there_were_24() -> None:
    assert len(PUBLISHED) == 24
    assert set(PUBLISHED) <= set(composition.__all__)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_published_name_has_its_parameters(name: str) -> None:
    thing = getattr(composition, name)
    if name != "Result":
        assert parameters(thing) == PUBLISHED[name]
    assert METHODS.get(name, set()) <= set(dir(thing))


@pytest.mark.parametrize("name", composition.__all__)
def test_what_must_be_awaited_says_so(name: str) -> None:
    is_async = inspect.iscoroutinefunction(getattr(composition, name))
    by_name = name.endswith("_async") and name != "paginate_async"
    assert is_async == (by_name or name in ASYNC)


@pytest.mark.parametrize("name", sorted(set(composition.__all__) & set(strait.__all__)))
def test_a_name_of_the_facade_is_the_same_thing(name: str) -> None:
    assert getattr(strait, name) is getattr(composition, name)
