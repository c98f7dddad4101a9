"""Workers that connect out (`contract/runs.md` §10): none yet, so lists are empty.

Jobs with `execution_mode: worker` wait for the worker protocol. Until it is served no worker can
connect, and none can be named.
"""

from __future__ import annotations

import sqlite3

from strait.server.errors import not_found
from strait.server.http import Call, Reply, reply
from strait.server.registry import Registry
from strait.server.unit import Unit

registry = Registry()


@registry.read("list-workers")
def list_all(call: Call, db: sqlite3.Connection) -> Reply:
    """List the workers that are connected: none can be."""
    del db
    return reply({"data": [], "offset": call.query["offset"], "has_more": False})


@registry.read("get-worker")
@registry.read("list-worker-tasks")
def get(call: Call, db: sqlite3.Connection) -> Reply:
    """Show a worker or its tasks: there is none of that name."""
    raise not_found("worker")


@registry.write("force-disconnect-worker")
def disconnect(call: Call, unit: Unit) -> Reply:
    """Close the connection of a worker: there is none of that name."""
    raise not_found("worker")
