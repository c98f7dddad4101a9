"""The reads that make the document of a run, written once for a client and for the server.

`gather` is a generator: it yields an `Ask` for each read and is sent the answer, or None where
the platform has no such operation. Who drives it decides how an answer is got.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from strait.reserved import STATE_PREFIX

FORMAT = "strait.run/1"
"""The version of the document; another one is another shape."""

Document: TypeAlias = dict[str, Any]
"""A run and all that is known of it.

`format`, `kind` (`run` or `workflow_run`), `exported_at`, `run`, `job` or `workflow`, `events`,
`steps`, `children`, `checkpoints`, `outputs`, `usage`, `tool_calls`, `state` (the run's own keys),
`kept` (what the runtime keeps there: steps, waits, children; both as `key`, `value` and
`updated_at`), `graph` of a workflow run, `truncated` (`{part: how many were taken}`) and `missing`
(parts that this platform has not). Lists are oldest first.
"""

Kind: TypeAlias = Literal["run", "workflow_run"]
Gathering: TypeAlias = "Generator[Ask, Any, Document]"
Reading: TypeAlias = "Generator[Ask, Any, list[dict[str, Any]]]"

_PAGE = 100
_MOST = {"events": 2_000, "steps": 10_000, "children": 1_000}
_MOST_OTHER = 500
# Of a workflow run, each step that is a job has a history of its own.
_MOST_STEP_RUNS = 60
_MOST_EVENTS_OF_A_STEP = 200
_MOST_JOBS = 30
# What of a job is about its runs; addresses and secrets stay where they are.
_JOB_FIELDS = (
    "id", "slug", "name", "description", "version", "max_attempts", "timeout_secs",
    "retry_strategy", "cron", "timezone", "tags",
)  # fmt: skip
_WORKFLOW_FIELDS = ("id", "slug", "name", "description", "version", "cron", "tags")
_CHILD_FIELDS = (
    "id", "job_id", "status", "attempt", "triggered_by", "payload", "result", "error",
    "created_at", "started_at", "finished_at", "metadata",
)  # fmt: skip
# Parts of a run: the operation that lists each, and the last part of its path.
_PARTS = {
    "events": ("list-run-events", "events"),
    "children": ("list-child-runs", "children"),
    "checkpoints": ("list-run-checkpoints", "checkpoints"),
    "outputs": ("list-run-outputs", "outputs"),
    "usage": ("list-run-usage", "usage"),
    "tool_calls": ("list-run-tool-calls", "tool-calls"),
}


@dataclass(frozen=True, slots=True)
class Ask:
    """One read of the API.

    Attributes:
        operation: its id in the description of the API.
        path: its path, with the names of its parameters in braces.
        params: the values of those.
        query: the query parameters.
        needed: whether nothing can be made without it; else None may be the answer.
    """

    operation: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str | int | bool] = field(default_factory=dict)
    needed: bool = False


def gather(kind: Kind, run_id: str, exported_at: str, *, kept: bool = False) -> Gathering:
    """Ask for all that the document of a run has, and return it; nothing in it is redacted yet.

    Args:
        kind: a run of a job, or of a workflow.
        run_id: its id.
        exported_at: the present time, RFC 3339.
        kept: whether to ask for what the runtime keeps, where a platform does not tell it anyway;
            a page does without.
    """
    if kind == "run":
        return (yield from _Gatherer(kind, run_id, exported_at, kept=kept).job_run())
    return (yield from _Gatherer(kind, run_id, exported_at).workflow_run())


class _Gatherer:
    def __init__(self, kind: Kind, run_id: str, exported_at: str, *, kept: bool = False) -> None:
        self._run_id = run_id
        self._kept = kept
        self._missing: list[str] = []
        self._truncated: dict[str, int] = {}
        self._document: Document = {"format": FORMAT, "kind": kind, "exported_at": exported_at}

    def job_run(self) -> Gathering:
        run = yield Ask("get-run", "/v1/runs/{runID}", {"runID": self._run_id}, needed=True)
        found = self._document
        found["run"] = run
        found["job"] = yield from self._job(run["job_id"])
        for part, (operation, path) in _PARTS.items():
            rows = yield from self._pages(part, operation, f"/v1/runs/{{runID}}/{path}")
            found[part] = _oldest_first(rows)
        yield from self._state()
        found["steps"] = yield from self._steps()
        found["children"] = yield from self._named(found["children"])
        return self._done()

    def workflow_run(self) -> Gathering:
        params = {"workflowRunID": self._run_id}
        root = "/v1/workflow-runs/{workflowRunID}"
        run = yield Ask("get-workflow-run", root, params, needed=True)
        found = self._document
        found["run"] = run
        workflow = yield Ask(
            "get-workflow", "/v1/workflows/{workflowID}", {"workflowID": run["workflow_id"]}
        )
        found["workflow"] = _only(workflow or {}, _WORKFLOW_FIELDS)
        found["graph"] = (yield Ask("get-workflow-run-graph", f"{root}/graph", params)) or {}
        steps = yield from self._pages(
            "steps", "list-workflow-step-runs", f"{root}/steps", params=params
        )
        found["steps"] = _oldest_first(steps)
        yield from self._of_step_runs(found["steps"])
        for part in ("children", "checkpoints", "outputs", "state", "kept"):
            found[part] = []
        return self._done()

    def _done(self) -> Document:
        self._document["truncated"] = self._truncated
        self._document["missing"] = self._missing
        return self._document

    def _pages(
        self,
        part: str,
        operation: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        most: int | None = None,
    ) -> Reading:
        """Read a list page by page, up to a bound that is noted when it is reached."""
        bound = most or _MOST.get(part, _MOST_OTHER)
        rows: list[dict[str, Any]] = []
        query: dict[str, str | int | bool] = {"limit": _PAGE}
        while True:
            answer = yield Ask(operation, path, params or {"runID": self._run_id}, dict(query))
            if answer is None:
                if part not in self._missing:
                    self._missing.append(part)
                return rows
            page = answer if isinstance(answer, list) else answer.get("data") or []
            rows += page
            cursor = None if isinstance(answer, list) else answer.get("next_cursor")
            if len(rows) >= bound and (cursor or len(rows) > bound):
                self._truncated[part] = bound
                return rows[:bound]
            if not cursor:
                return rows
            query["cursor"] = cursor

    def _job(self, job_id: str) -> Gathering:
        job = yield Ask("get-job", "/v1/jobs/{jobID}", {"jobID": job_id})
        return _only(job or {"id": job_id}, _JOB_FIELDS)

    def _state(self) -> Generator[Ask, Any, None]:
        """Read the run's state: its own keys, and what the runtime keeps beside them."""
        answer = yield Ask(
            "list-run-state",
            "/v1/runs/{runID}/state",
            {"runID": self._run_id},
            {"kept": True} if self._kept else {},
        )
        if answer is None:
            self._missing.append("state")
        listed = answer if isinstance(answer, list) else (answer or {}).get("data") or []
        rows = sorted(listed, key=lambda row: str(row["state_key"]))
        own = [row for row in rows if not row["state_key"].startswith(STATE_PREFIX)]
        self._document["state"] = [_entry(row) for row in own]
        self._document["kept"] = [_entry(row) for row in rows if row not in own]

    def _steps(self) -> Reading:
        """Return the durable steps: as the platform lists them, or as the run's state has them."""
        rows = yield from self._pages("steps", "list-run-steps", "/v1/runs/{runID}/steps")
        if "steps" not in self._missing:
            return rows
        self._missing.remove("steps")
        recorded = [
            entry["value"]
            for entry in self._document["kept"]
            if entry["key"].startswith(f"{STATE_PREFIX}step.")
        ]
        undone = {
            str(step["name"]).removeprefix("undo:")
            for step in recorded
            if str(step["name"]).startswith("undo:")
        }
        steps = [{**step, "undone": step["name"] in undone} for step in recorded]
        return sorted(steps, key=lambda step: str(step.get("finished_at") or ""))

    def _named(self, children: list[dict[str, Any]]) -> Reading:
        """Return children with the slugs of their jobs."""
        slugs: dict[str, str] = {}
        for job_id in list(dict.fromkeys(child["job_id"] for child in children))[:_MOST_JOBS]:
            job = yield from self._job(job_id)
            slugs[job_id] = job.get("slug", "")
        return [
            {**_only(child, _CHILD_FIELDS), "job_slug": slugs.get(child["job_id"], "")}
            for child in children
        ]

    def _of_step_runs(self, steps: list[dict[str, Any]]) -> Generator[Ask, Any, None]:
        """Read what the runs of a workflow's steps have logged and spent, each with its step."""
        runs = {step["job_run_id"]: step["step_ref"] for step in steps if step.get("job_run_id")}
        taken = list(runs.items())[:_MOST_STEP_RUNS]
        if len(taken) < len(runs):
            self._truncated["runs of steps"] = len(taken)
        for part in ("events", "usage", "tool_calls"):
            operation, path = _PARTS[part]
            rows: list[dict[str, Any]] = []
            for run_id, step_ref in taken:
                found = yield from self._pages(
                    part,
                    operation,
                    f"/v1/runs/{{runID}}/{path}",
                    params={"runID": run_id},
                    most=_MOST_EVENTS_OF_A_STEP,
                )
                rows += [{**row, "step_ref": step_ref} for row in found]
                if part in self._missing:
                    break
            self._document[part] = _oldest_first(rows)


def _entry(row: Mapping[str, Any]) -> dict[str, Any]:
    entry = {"key": row["state_key"], "value": row["value"]}
    return entry | ({"updated_at": row["updated_at"]} if row.get("updated_at") else {})


def _only(row: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: row[name] for name in names if row.get(name) is not None}


def _oldest_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # The sort is stable and lists come newest first or oldest first, so rows of one instant have
    # to be brought into the order of time before.
    if len(rows) > 1 and _time(rows[0]) > _time(rows[-1]):
        rows = rows[::-1]
    return sorted(rows, key=_time)


def _time(row: Mapping[str, Any]) -> str:
    return str(row.get("created_at") or "")
