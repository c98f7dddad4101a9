"""A database of every schema that there was is taken over with all that is in it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from strait.clock import SECOND, SystemClock, to_timestamp
from strait.server.vault import PREFIX
from strait.store import maintenance, migrations
from strait.store.connection import open_writer
from support.handlers import Answer, Gate, Handlers, Received, ok
from support.world import World
from support.world import world as a_world

VERSIONS = [version for version, _ in migrations.scripts()]
# Since this version what is secret is sealed (`vault.seal_clear_texts`).
SEALED_SINCE = 3


def downgraded(source: Path, target: Path, version: int) -> None:
    """Write what a database holds into one of an older schema, as the release of it had it."""
    with closing(open_writer(target)) as db:
        for number, script in migrations.scripts():
            if number <= version:
                db.executescript(f"BEGIN;{script};PRAGMA user_version={number};COMMIT;")
        db.execute("ATTACH ? AS now", (str(source),))
        tables = db.execute(
            "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        for (table,) in tables:
            db.execute(f"DELETE FROM main.{table}")
            names = [name for _, name, *_ in db.execute(f"PRAGMA main.table_info({table})")]
            columns = ", ".join(names)
            db.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM now.{table}")
        if version < SEALED_SINCE:
            db.execute("DELETE FROM main.meta WHERE name = 'vault_proof'")
            db.execute(f"UPDATE main.meta SET value = '{'in clear ' * 4}' WHERE name = 'token_key'")
            db.execute("UPDATE main.jobs SET signing_secret = 'in clear'")
        db.execute("DETACH now")
    if version >= SEALED_SINCE:
        shutil.copy(f"{source}.secrets", f"{target}.secrets")


async def lived_in(handlers: Handlers, database: Path) -> dict[str, Any]:
    """Fill a database with what a platform leaves behind that was stopped in its work."""
    gate = Gate()
    tomorrow = to_timestamp(SystemClock().now() + 86_400 * SECOND)

    async def script(call: Received) -> Answer:
        return await gate(call) if call.json == "held" else ok("done")

    handlers.script = script
    async with a_world(handlers, database) as first:
        job = await first.job(max_concurrency=1)
        other = await first.job()
        ended = await first.trigger(other, {"n": 1}, key="once", tags={"team": "blue"})
        await first.until(ended, "completed")
        executing, handler = await first.executing(job, "held")
        usage = {"provider": "p", "model": "m", "prompt_tokens": 1, "cost_microusd": 70}
        for path, body in (
            ("usage", usage),
            ("checkpoint", {"state": {"at": 3}}),
            ("log", {"message": "here"}),
        ):
            answer = await handler.post(f"/sdk/v1/runs/{executing}/{path}", json=body)
            assert answer.status_code in {200, 201}, answer.text
        queued = await first.trigger(job, {"n": 2})
        delayed = await first.trigger(job, scheduled_at=tomorrow)
        history = (await first.api.get(f"/v1/runs/{ended}/events")).json()["data"]
    return {
        "job": other,
        "ended": ended,
        "unfinished": [executing, queued],
        "executing": executing,
        "delayed": delayed,
        "history": history,
    }


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_database_of_this_schema_is_taken_over_with_its_runs(
    version: int, handlers: Handlers, tmp_path: Path
) -> None:
    left = await lived_in(handlers, tmp_path / "now.db")
    old = tmp_path / "old.db"
    downgraded(tmp_path / "now.db", old, version)
    handlers.script = lambda call: ok("done")
    async with a_world(handlers, old) as world:
        assert (await world.api.get(f"/v1/runs/{left['ended']}/events")).json()["data"] == left[
            "history"
        ]
        for run_id in left["unfinished"]:
            assert (await world.until(run_id, "completed"))["result"] == "done"
        assert (await world.run(left["delayed"]))["status"] == "delayed"
        checkpoints = await world.api.get(f"/v1/runs/{left['executing']}/checkpoints")
        assert [c["state"] for c in checkpoints.json()["data"]] == [{"at": 3}]
        await world.until(await world.trigger(left["job"], {"n": 3}), "completed")
        await the_same_key_is_the_same_run(world, left)
    report = maintenance.check(old)
    assert (report.version, report.problems) == (migrations.newest(), ())
    with closing(sqlite3.connect(old)) as db:
        (spent,) = db.execute("SELECT sum(microusd) FROM spend").fetchone()
        secrets = db.execute("SELECT signing_secret FROM jobs WHERE signing_secret <> ''")
        assert all(sealed.startswith(PREFIX) for (sealed,) in secrets)
    assert spent == 70


async def the_same_key_is_the_same_run(world: World, left: dict[str, Any]) -> None:
    path = f"/v1/jobs/{left['job']['id']}/trigger"
    again = await world.api.post(
        path,
        json={"payload": {"n": 1}, "tags": {"team": "blue"}},
        headers={"Idempotency-Key": "once"},
    )
    assert again.json()["id"] == left["ended"]
