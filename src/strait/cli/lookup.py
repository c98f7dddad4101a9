"""Finding what people name: jobs and workflows by slug or id, runs of either kind by id."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import TYPE_CHECKING

from strait.cli.failures import CommandError, ExitCode
from strait.cli.session import pages
from strait.errors import HttpError, NotFoundError

if TYPE_CHECKING:
    from strait.client import Client
    from strait.errors import Json

# More jobs than any project has, and few enough to go through.
MANY = 10_000
# The platform answers an id of the wrong form with 400.
_NO_SUCH_THING = (400, 404)


def job(client: Client, name: str) -> Json:
    """Return a job by its slug or its id.

    Raises:
        CommandError: there is none.
    """
    for found in pages(client.jobs.list, 1, slug=name):
        if found["slug"] == name:
            return found
    found = _by_id(client.jobs.get, name)
    if found is None:
        raise _unknown("job", name, [one["slug"] for one in pages(client.jobs.list, MANY)])
    return found


def workflow(client: Client, name: str) -> Json:
    """Return a workflow with its steps by its slug or its id.

    Raises:
        CommandError: there is none.
    """
    slugs = []
    for found in pages(client.workflows.list, MANY):
        if name in (found["slug"], found["id"]):
            return client.workflows.get(found["id"])
        slugs.append(found["slug"])
    raise _unknown("workflow", name, slugs)


def target(client: Client, name: str) -> tuple[str, Json]:
    """Return what can be triggered under a name: `job` or `workflow`, and which.

    Raises:
        CommandError: there is neither.
    """
    for found in pages(client.jobs.list, 1, slug=name):
        if found["slug"] == name:
            return "job", found
    slugs = [one["slug"] for one in pages(client.jobs.list, MANY)]
    for found in pages(client.workflows.list, MANY):
        if name in (found["slug"], found["id"]):
            return "workflow", found
        slugs.append(found["slug"])
    if (found := _by_id(client.jobs.get, name)) is not None:
        return "job", found
    raise _unknown("job or workflow", name, slugs)


def run(client: Client, run_id: str) -> tuple[str, Json]:
    """Return a run by its id: `run` or `workflow run`, and the run.

    Raises:
        CommandError: there is none.
    """
    if (found := _by_id(client.runs.get, run_id)) is not None:
        return "run", found
    if (found := _by_id(client.workflow_runs.get, run_id)) is not None:
        return "workflow run", found
    raise CommandError(
        f"there is no run {run_id!r}", "`strait runs list` shows the last ones", ExitCode.NOT_FOUND
    )


def job_slugs(client: Client) -> dict[str, str]:
    """Return the slug of each job by its id."""
    return {one["id"]: one["slug"] for one in pages(client.jobs.list, MANY)}


def workflow_slugs(client: Client) -> dict[str, str]:
    """Return the slug of each workflow by its id."""
    return {one["id"]: one["slug"] for one in pages(client.workflows.list, MANY)}


def _by_id(get: Callable[[str], Json], name: str) -> Json:
    try:
        return get(name)
    except NotFoundError:
        return None
    except HttpError as error:
        if error.status in _NO_SUCH_THING:
            return None
        raise


def _unknown(kind: str, name: str, known: list[str]) -> CommandError:
    near = get_close_matches(name, known, n=1)
    advice = f"did you mean `{near[0]}`?" if near else _shows(kind)
    return CommandError(f"there is no {kind} {name!r}", advice, ExitCode.NOT_FOUND)


def _shows(kind: str) -> str:
    if kind == "workflow":
        return "`strait workflows list` shows all"
    if kind == "job":
        return "`strait jobs list` shows all"
    return "`strait jobs list` and `strait workflows list` show all"
