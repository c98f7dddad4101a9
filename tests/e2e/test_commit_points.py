"""`kill -9` at each point that a commit passes: what was acknowledged is there, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from strait import Client
from strait.errors import StraitError
from strait.store.writer import COMMIT_POINTS
from tests.e2e.conftest import TARGET
from tests.e2e.platform import start, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.mark.parametrize(("point", "count"), list(zip(COMMIT_POINTS, (6, 1, 6, 1), strict=True)))
def test_a_kill_at_a_commit_point_loses_and_doubles_nothing(
    tmp_path: Path, point: str, count: int
) -> None:
    database, journal = tmp_path / "dev.db", tmp_path / "journal"
    journal.touch()
    environment = {"E2E_JOURNAL": str(journal)}
    platform = start(database, TARGET, environment=environment, dies_at=(point, count))
    keys = [f"key-{number}" for number in range(20)]
    acknowledged: dict[str, str] = {}
    with Client(base_url=platform.base_url, api_key=platform.api_key, retry=None) as client:
        (job,) = client.jobs.list(slug="echo")
        for key in keys:
            try:
                run = client.jobs.trigger(job.id, payload={"key": key}, idempotency_key=key)
            except StraitError:
                break
            acknowledged[key] = str(run.id)
    platform.process.communicate(timeout=30)
    assert platform.process.returncode == -9, f"`{point}` was not passed {count} times"
    assert len(acknowledged) < len(keys)

    platform = start(database, TARGET, environment=environment)
    with platform.client() as client:
        # Whoever got no answer asks again under the same key.
        again = {
            key: str(client.jobs.trigger(job.id, payload={"key": key}, idempotency_key=key).id)
            for key in keys
        }
        assert acknowledged.items() <= again.items()
        assert len(set(again.values())) == len(keys)
        for key, run_id in again.items():
            run = until(lambda run_id=run_id: _completed(client, run_id))
            assert run.result["payload"] == {"key": key}
        assert {str(run.id) for run in client.runs.list()} == set(again.values())
        for run_id in again.values():
            ends = [
                event
                for event in client.runs.list_events(run_id)
                if event.type == "state_change" and event.data["to"] == "completed"
            ]
            assert len(ends) == 1
    platform.stop()


def _completed(client: Client, run_id: str):  # type: ignore[no-untyped-def] # the model is generated
    run = client.runs.get(run_id)
    return run if run.status == "completed" else None
