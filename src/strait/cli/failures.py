"""How a command fails: one line that says what is wrong and what to do, and one exit code.

| code | it means |
|---|---|
| 0 | done |
| 1 | the answer is no: a run failed, something was found, the platform refused |
| 2 | the command line or the configuration is wrong |
| 3 | a conflict or a limit: something is in use, in another state, or asked for too often |
| 4 | there is no such thing |
| 5 | not allowed: no key, a wrong key, or a scope that it lacks |
| 6 | the platform cannot be reached, or failed |
| 70 | a fault of the command line itself |
| 124 | what was waited for has not ended in the time of `--timeout` |
| 130 | interrupted |
"""

from __future__ import annotations

import os
from enum import IntEnum

import click

# What click calls the kinds of numbers, and what people do; a longer name comes first.
_KINDS = (
    ("integer range", "whole number"),
    ("integer", "whole number"),
    ("float range", "number"),
    ("float", "number"),
)


class ExitCode(IntEnum):
    """The exit codes of `strait`."""

    DONE = 0
    NO = 1
    USAGE = 2
    CONFLICT = 3
    NOT_FOUND = 4
    DENIED = 5
    UNREACHABLE = 6
    FAULT = 70
    TIMEOUT = 124
    INTERRUPTED = 130


class CommandError(click.ClickException):
    """A command cannot do what it was asked for.

    Args:
        what: what is wrong.
        advice: what to do about it.
        code: the exit code.
    """

    def __init__(self, what: str, advice: str = "", code: ExitCode = ExitCode.NO) -> None:
        super().__init__(f"{what} — {advice}" if advice else what)
        self.code = code
        # Where click itself shows an error, it exits with this.
        vars(self)["exit_code"] = int(code)


def tell(error: BaseException) -> ExitCode:
    """Print the line of an error to the standard error, and return the exit code.

    With `STRAIT_DEBUG` set, an error that is nobody's mistake is raised again, for its traceback.
    """
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return ExitCode.USAGE
    line, code = _line(error)
    if code is ExitCode.FAULT and os.environ.get("STRAIT_DEBUG"):
        raise error
    click.echo("strait: " + " ".join(line.split()), err=True)
    return code


def _line(error: BaseException) -> tuple[str, ExitCode]:
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return "interrupted", ExitCode.INTERRUPTED
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "strait"
        return f"{_wrong(error)} — see `{path} --help`", ExitCode.USAGE
    if isinstance(error, CommandError):
        return error.format_message(), error.code
    if isinstance(error, click.ClickException):
        return _small(error.format_message()), ExitCode.NO
    if isinstance(error, ModuleNotFoundError):
        return _missing(error)
    # Here, so that `strait --help` need not know any of them.
    from strait.cli.failures_of_platform import line_of

    if (found := line_of(error)) is not None:
        return found
    if isinstance(error, OSError):
        where = f": `{error.filename}`" if error.filename else ""
        return f"{error.strerror or error}{where}", ExitCode.NO
    kind = type(error).__name__
    advice = "this is a fault of `strait`; `STRAIT_DEBUG=1` shows where"
    return f"{kind}: {error} — {advice}", ExitCode.FAULT


def _missing(error: ModuleNotFoundError) -> tuple[str, ExitCode]:
    name = (error.name or "").partition(".")[0]
    if name in {"", "strait"}:
        return f"{error} — install `strait-python` again", ExitCode.FAULT
    advice = "the command line needs `pip install 'strait-python[cli,server]'`"
    return f"`{name}` is not installed — {advice}", ExitCode.NO


def _wrong(error: click.UsageError) -> str:
    """Return what is wrong with a command line, or with the variable that stands for a flag."""
    text = _small(error.format_message())
    for kind, plain in _KINDS:
        text = text.replace(f"is not a valid {kind}", f"is no {plain}")
    if not isinstance(error, click.BadParameter) or error.ctx is None or error.param is None:
        return text
    source = error.ctx.get_parameter_source(error.param.name or "")
    if source is not click.core.ParameterSource.ENVIRONMENT or not error.param.envvar:
        return text
    # Whoever set a variable has written no flag.
    return f"`{error.param.envvar}`{text.removeprefix('invalid value for ' + _hint(error))}"


def _hint(error: click.BadParameter) -> str:
    return error.param.get_error_hint(error.ctx) if error.ctx and error.param else ""


def _small(message: str) -> str:
    """Return a message of click without the stop, beginning as ours do."""
    text = message.rstrip(".")
    return text[:1].lower() + text[1:]
