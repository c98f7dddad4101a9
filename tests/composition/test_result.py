"""`Result`: success or failure as a value."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest

from strait.composition import Err, Ok, Result
from strait.errors import ValidationError

from .conftest import AWAITABLES, Script

WRONG = ValueError("wrong")


def test_a_success_has_a_value_and_no_error() -> None:
    result = Result.ok(5)
    assert (result.is_ok, result.is_err, result.unwrap()) == (True, False, 5)
    with pytest.raises(ValidationError, match=r"needs an `Err`, not Ok\(value=5\)"):
        result.unwrap_err()


def test_a_failure_has_an_error_and_raises_it() -> None:
    result = Result.err(WRONG)
    assert (result.is_ok, result.is_err, result.unwrap_err()) == (False, True, WRONG)
    with pytest.raises(ValueError, match="wrong") as raised:
        result.unwrap()
    assert raised.value is WRONG


def test_match_returns_what_the_branch_does() -> None:
    assert Result.ok(5).match(lambda value: value + 1, str) == 6
    assert Result.err(WRONG).match(lambda value: value, lambda error: f"not {error}") == "not wrong"


def test_only_the_branch_that_fits_is_called() -> None:
    ok, err = Script(1), Script(2)
    Result.ok("a").match(ok, err)
    Result.err(WRONG).match(ok, err)
    assert (ok.calls, err.calls) == ([("a",)], [(WRONG,)])


def test_a_function_becomes_its_result() -> None:
    assert Result.from_func(lambda: 5) == Ok(5)
    assert Result.from_func(Script(WRONG)) == Err(WRONG)


def test_none_is_a_value() -> None:
    assert Result.from_func(lambda: None) == Ok(None)


@pytest.mark.parametrize("awaitable", AWAITABLES)
async def test_a_function_to_await_becomes_what_came_of_it(awaitable: Any) -> None:
    assert await Result.from_func_async(lambda: awaitable(lambda: 5)) == Ok(5)
    assert await Result.from_func_async(lambda: awaitable(Script(WRONG))) == Err(WRONG)
    assert await Result.from_func_async(Script(WRONG)) == Err(WRONG)


def test_a_coroutine_function_is_no_success_where_nothing_awaits_it() -> None:
    async def work() -> int:
        return 5

    with pytest.raises(ValidationError, match=r"use `Result\.from_func_async`"):
        Result.from_func(work)


async def test_a_cancellation_is_no_failure() -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await Result.from_func_async(work)


def test_what_ends_the_program_is_no_failure() -> None:
    with pytest.raises(KeyboardInterrupt):
        Result.from_func(Script(KeyboardInterrupt()))


@pytest.mark.parametrize(("result", "said"), [(Ok(5), "value 5"), (Err(WRONG), "error wrong")])
def test_patterns_take_results_apart(result: Result[int], said: str) -> None:
    match result:
        case Ok(value):
            found = f"value {value}"
        case Err(error):
            found = f"error {error}"
    assert found == said
    assert isinstance(result, Result)


def test_results_compare_hash_print_and_pickle_as_values() -> None:
    assert {Ok(1), Ok(1)} == {Ok(1)} != {Err(WRONG)}
    assert repr(Err(WRONG)) == "Err(error=ValueError('wrong'))"
    assert pickle.loads(pickle.dumps(Ok([1]))) == Ok([1])


def test_there_is_no_result_that_is_neither() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Result()
