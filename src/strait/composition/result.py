"""`Result`: success or failure as a value, in place of an exception.

    match Result.from_func(lambda: client.jobs.get("job_1")):
        case Ok(job):
            print(job.slug)
        case Err(error):
            print("no job:", error)

A function that is annotated `-> Ok[T] | Err` gives its callers everything: `match` is exhaustive,
and `if result.is_ok is True` narrows (for mypy, `if result.is_ok` does too). `Result[T]` is the
class that both have in common.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Literal, Never, NoReturn, TypeVar, overload

from strait.composition import pace
from strait.errors import ValidationError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")
V = TypeVar("V")


class Result(ABC, Generic[T_co]):
    """What became of something: `Ok` with a value, or `Err` with an error."""

    __slots__ = ()

    @staticmethod
    def ok(value: T) -> Ok[T] | Err:
        """Return the result of a success."""
        return Ok(value)

    @staticmethod
    def err(error: Exception) -> Ok[Never] | Err:
        """Return the result of a failure."""
        return Err(error)

    @staticmethod
    def from_func(fn: Callable[[], T]) -> Ok[T] | Err:
        """Call a function and return what became of it.

        Raises:
            ValidationError: its result must be awaited; `from_func_async` can.
        """
        try:
            value = fn()
        except Exception as error:  # noqa: BLE001 - to make any error a value is its purpose
            return Err(error)
        return Ok(pace.refuse_awaitable(value, "Result.from_func", "Result.from_func_async"))

    @overload
    @staticmethod
    async def from_func_async(fn: Callable[[], Awaitable[T]]) -> Ok[T] | Err: ...
    @overload
    @staticmethod
    async def from_func_async(fn: Callable[[], T]) -> Ok[T] | Err: ...
    @staticmethod
    async def from_func_async(fn: Callable[[], object]) -> Ok[object] | Err:
        """Call a function, await whatever it gives to await, and return what became of it.

        A cancellation is no failure: it goes on to the caller.
        """
        try:
            value = fn()
            return Ok(await value if inspect.isawaitable(value) else value)
        except Exception as error:  # noqa: BLE001 - to make any error a value is its purpose
            return Err(error)

    @property
    @abstractmethod
    def is_ok(self) -> bool:
        """Whether this is an `Ok`."""

    @property
    @abstractmethod
    def is_err(self) -> bool:
        """Whether this is an `Err`."""

    @abstractmethod
    def unwrap(self) -> T_co:
        """Return the value; an `Err` raises its error."""

    @abstractmethod
    def unwrap_err(self) -> Exception:
        """Return the error.

        Raises:
            ValidationError: it is an `Ok`.
        """

    @abstractmethod
    def match(self, on_ok: Callable[[T_co], U], on_err: Callable[[Exception], V]) -> U | V:
        """Call the function that fits and return what it did."""


@dataclass(frozen=True, slots=True)
class Ok(Result[T_co]):
    """A success.

    Attributes:
        value: what came of it.
    """

    value: T_co

    @property
    def is_ok(self) -> Literal[True]:
        """Whether this is an `Ok`."""
        return True

    @property
    def is_err(self) -> Literal[False]:
        """Whether this is an `Err`."""
        return False

    def unwrap(self) -> T_co:
        """Return the value."""
        return self.value

    def unwrap_err(self) -> NoReturn:
        """Raise: a success has no error."""
        raise ValidationError(f"`unwrap_err` needs an `Err`, not {self!r}")

    def match(self, on_ok: Callable[[T_co], U], on_err: Callable[[Exception], V]) -> U | V:
        """Return what `on_ok` makes of the value."""
        return on_ok(self.value)


@dataclass(frozen=True, slots=True)
class Err(Result[Never]):
    """A failure.

    Attributes:
        error: why.
    """

    error: Exception

    @property
    def is_ok(self) -> Literal[False]:
        """Whether this is an `Ok`."""
        return False

    @property
    def is_err(self) -> Literal[True]:
        """Whether this is an `Err`."""
        return True

    def unwrap(self) -> NoReturn:
        """Raise the error."""
        raise self.error

    def unwrap_err(self) -> Exception:
        """Return the error."""
        return self.error

    def match(self, on_ok: Callable[[Never], U], on_err: Callable[[Exception], V]) -> U | V:
        """Return what `on_err` makes of the error."""
        return on_err(self.error)
