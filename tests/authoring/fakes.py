"""A platform's jobs, workflows and run plane in memory, behind a sync or an async client."""

from __future__ import annotations

import inspect
from itertools import count

from strait.errors import ConflictError, map_http_error

STEP_DEFAULTS = {
    "depends_on": [],
    "on_failure": "fail_workflow",
    "step_type": "job",
    "retry_backoff": "exponential",
    "resource_class": "small",
}


class Table:
    """One kind of resource; lists come in pages of `page_size`, without steps."""

    def __init__(self, kind, page_size=2):
        self.kind = kind
        self.page_size = page_size
        self.rows = {}
        self.calls = []
        self.before_create = None
        self._ids = count(1)

    def add(self, **body):
        row = {"id": f"{self.kind}-{next(self._ids)}", **body}
        row.pop("endpoint_signing_secret", None)
        row.pop("webhook_secret", None)
        if "queue_name" in row:
            row["queue"] = row.pop("queue_name")
        if "steps" in row:
            row["steps"] = [{"id": "s", **STEP_DEFAULTS, **step} for step in row["steps"]]
        self.rows[row["id"]] = {name: value for name, value in row.items() if value not in ("", 0)}
        return self.rows[row["id"]]

    def list(self, *, limit, cursor=None, slug=None):
        self.calls.append("list")
        rows = [row for row in self.rows.values() if slug in (None, row["slug"])]
        start = int(cursor or 0)
        page = rows[start : start + min(limit, self.page_size)]
        more = start + len(page) < len(rows)
        data = [{k: v for k, v in row.items() if k != "steps"} for row in page]
        return {"data": data, "has_more": more} | (
            {"next_cursor": str(start + len(page))} if more else {}
        )

    def get(self, id):
        self.calls.append("get")
        if id not in self.rows:
            raise map_http_error(404, f"{self.kind} not found")
        return self.rows[id]

    def create(self, body):
        self.calls.append("create")
        if self.before_create:
            self.before_create, hook = None, self.before_create
            hook()
        if any(row["slug"] == body["slug"] for row in self.rows.values()):
            raise ConflictError(409, "slug exists")
        return self.add(**body)

    def update(self, id, body):
        self.calls.append(("update", body))
        row = self.rows.pop(id)
        merged = self.add(**{**row, **body})
        self.rows.pop(merged["id"])
        merged["id"] = id
        self.rows[id] = merged
        return merged

    def trigger(self, id, body, **options):
        self.calls.append(("trigger", id, body, options))
        return {"id": "run-1", "status": "queued"}

    def bulk_trigger(self, id, body):
        self.calls.append(("bulk_trigger", id, body))
        return {"batch_id": "b", "total": len(body["items"])}


class SyncClient:
    project_id = "p-of-the-client"

    def __init__(self):
        self.jobs = Table("job")
        self.workflows = Table("workflow")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


class _Awaited:
    def __init__(self, table):
        self.table = table

    def __getattr__(self, name):
        value = getattr(self.table, name)
        if not inspect.ismethod(value):
            return value

        async def call(*args, **kwargs):
            return value(*args, **kwargs)

        return call


class AsyncClient:
    project_id = "p-of-the-client"

    def __init__(self):
        self.jobs = _Awaited(Table("job"))
        self.workflows = _Awaited(Table("workflow"))

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return None


class Runs:
    """`sdk_runs` that keeps what it is called with; `answers` overrides, an exception is raised."""

    def __init__(self, **answers):
        self.calls = []
        self.answers = answers

    def _call(self, name, *args):
        self.calls.append((name, *args))
        answer = self.answers.get(name)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def bodies(self, name):
        return [call[2] for call in self.calls if call[0] == name]


class SyncRuns(Runs):
    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args: self._call(name, *args)


class AsyncRuns(Runs):
    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)

        async def call(*args):
            return self._call(name, *args)

        return call
