"""Whether a replay went the way of its record, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from strait.authoring.recorded.errors import StepMismatch
from strait.fsm import is_terminal_run_status
from strait.takeaway.fixture import describe
from strait.testing.replay_compare import differences, shown
from strait.testing.replay_run import Ending


def verdict(
    status: str,
    outcome: Mapping[str, Any],
    missing: Sequence[Mapping[str, Any]],
    ending: Ending,
    not_asked: Sequence[str],
) -> list[str]:
    """Return where a replay went another way than the recorded run, one line each.

    Args:
        status: of the recorded run.
        outcome: its `result` or `error`.
        missing: what of the record is hidden.
        ending: how the replay ended.
        not_asked: recorded steps that the replay has not come to.
    """
    if ending.missing is not None:
        return [_needs(ending.missing.missing)]
    if isinstance(ending.error, StepMismatch):
        return [_mismatch(ending.error)]
    left = [f"step `{name}` is on record, and is not asked for any more" for name in not_asked]
    if status == "completed":
        return [*_of_completed(outcome, missing, ending), *left]
    if ending.stopped is not None:
        # The record ends where the run did: in something that has not become a record.
        return [f"{ending.stopped} is not on record", *left] if left else []
    now = _said(ending)
    if ending.error is None and ending.failed_with is None:
        then = f"{status}{_with(outcome.get('error'))}"
        return [f"recorded: {then}; now: {now}", *left] if is_terminal_run_status(status) else left
    error = outcome.get("error")
    if error is None or _text(ending) in error:
        return left
    return [f"recorded: {status}{_with(error)}; now: {now}", *left]


def _of_completed(
    outcome: Mapping[str, Any], missing: Sequence[Mapping[str, Any]], ending: Ending
) -> list[str]:
    if ending.stopped is not None:
        return [f"{ending.stopped} is not on record; the recorded run completed without it"]
    if ending.error is not None or ending.failed_with is not None:
        return [f"recorded: completed with {shown(outcome.get('result'))}; now: {_said(ending)}"]
    hidden = [path for one in missing if one["part"] == "result" for path in one["paths"]]
    return differences(outcome.get("result"), ending.result, hidden=hidden)


def _needs(missing: Mapping[str, Any]) -> str:
    return (
        f"the answer of {describe(missing)} was hidden when the run was exported; "
        f"give it as `answers={{{missing['name']!r}: …}}`"
    )


def _mismatch(error: StepMismatch) -> str:
    args, kwargs = error.asked
    words = [*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
    which = f" (occurrence {error.occurrence})" if error.occurrence else ""
    return (
        f"step `{error.step}`{which}: recorded at {error.recorded_at} with other arguments than "
        f"now at {error.at}, where it is asked with ({', '.join(words)})"
        + (f"; {error.differs}" if error.differs else "")
    )


def _said(ending: Ending) -> str:
    if ending.error is not None:
        return f"raised {type(ending.error).__name__}: {ending.error}"
    if ending.failed_with is not None:
        return f"failed with {ending.failed_with!r}"
    return f"completed with {shown(ending.result)}"


def _text(ending: Ending) -> str:
    return ending.failed_with if ending.failed_with is not None else str(ending.error)


def _with(error: object) -> str:
    return f" with {str(error)!r}" if error else ""
