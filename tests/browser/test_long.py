"""Much of everything: a run of 5,000 steps, and a workflow of 200. The document stays small."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from browser.conftest import PATIENCE_MS
from cli.processes import running
from strait.clock import to_timestamp
from strait.engine.entries import Entry
from strait.engine.model import Run
from strait.engine.runs import State
from strait.reserved import step_key
from strait.server import bootstrap
from strait.server.run import Server
from strait.server.settings import Settings
from strait.server.unit import Unit
from strait.server.work import records
from strait.store import runs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

STEPS = 5_000
NODES = 200
BEGAN = 1_780_000_000_000_000
RUN = "run-of-many-steps"
# Elements in the whole document; each step of a list has about a dozen.
MOST_ELEMENTS = 6_000


@dataclass(frozen=True, slots=True)
class Long:
    """A page, and the workflow and its run that can be looked at with it."""

    page: Page
    workflow: str
    workflow_run: str

    def elements(self) -> int:
        return int(self.page.evaluate("document.getElementsByTagName('*').length"))


async def _fill(database: Path) -> None:
    """Write a run that took 5,000 steps in two attempts, as a host would have, in little time."""
    async with Server(Settings(database=database, port=0)) as server:
        await bootstrap.ensure(server.platform, remember=database.with_name("long.db.key"))

        def work(unit: Unit) -> None:
            run = Run(
                id=RUN,
                job_id="job",
                project_id="proj_local",
                status="completed",
                created_at=to_timestamp(BEGAN),
                started_at=to_timestamp(BEGAN + 1),
                finished_at=to_timestamp(BEGAN + STEPS * 1_000),
                attempt=1,
                triggered_by="manual",
                priority=0,
                debug_mode=False,
                lineage_depth=0,
            )
            runs.insert(unit.db, [(State(run), None)])
            to = [("queued", ""), ("executing", "queued")]
            entries = [
                Entry("state_change", f"-> {a}", "info", {"to": a, "from": b}) for a, b in to
            ]
            unit.record(RUN, "proj_local", entries)
            for n in range(STEPS):
                unit.tick()
                at = to_timestamp(BEGAN + n * 1_000)
                step = {
                    "name": f"step {n}", "occurrence": 0, "fingerprint": "f", "attempts": 1,
                    "status": "completed", "started_at": at,
                    "finished_at": to_timestamp(BEGAN + n * 1_000 + 900), "at": "long.py:7",
                    "idempotency_key": f"k-{n}", "output": {"number": n},
                }  # fmt: skip
                records.set_state(unit, RUN, step_key(f"step {n}", 0), json.dumps(step))
                told = [Entry("step", f"step {n} completed", "info", {"name": f"step {n}"})]
                if n % 2:
                    told.append(Entry("log", f"line {n}", "info", {}))
                unit.record(RUN, "proj_local", told)
            unit.record(RUN, "proj_local", [Entry("state_change", "", "info", {"to": "completed"})])

        await server.platform.write(work)


def _workflow(base_url: str, api_key: str) -> tuple[str, str]:
    """Make a workflow of 200 steps in 20 layers, and run it; every step waits for an hour."""
    headers = {"Authorization": f"Bearer {api_key}"}
    with httpx.Client(base_url=base_url, headers=headers, timeout=30) as api:
        steps = [
            {
                "step_ref": f"s{n}", "step_type": "sleep", "sleep_duration_secs": 3_600,
                "depends_on": [f"s{n - 10}", f"s{(n - 10) // 10 * 10 + (n + 1) % 10}"]
                if n >= 10 else [],
            }
            for n in range(NODES)
        ]  # fmt: skip
        body = {"project_id": "proj_local", "name": "Wide", "slug": "wide", "steps": steps}
        made = api.post("/v1/workflows", json=body)
        assert made.status_code == 201, made.text
        run = api.post(f"/v1/workflows/{made.json()['id']}/trigger", json={})
        assert run.status_code == 201, run.text
        return made.json()["id"], run.json()["id"]


@pytest.fixture(scope="module")
def long(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Long]:
    directory = tmp_path_factory.mktemp("long")
    # In a thread of its own: Playwright has a loop in this one.
    with ThreadPoolExecutor() as pool:
        pool.submit(asyncio.run, _fill(directory / "long.db")).result()
    with running("serve", "--port", "0", "--db", "long.db", "--json", cwd=directory) as process:
        ids = _workflow(process.base_url, process.ready["api_key"])
        context = browser.new_context(base_url=process.base_url)
        context.set_default_timeout(PATIENCE_MS)
        wrong: list[str] = []
        made = context.new_page()
        made.on("pageerror", lambda error: wrong.append(str(error)))
        yield Long(made, *ids)
        context.close()
        assert not wrong


def test_a_run_of_5000_steps_is_looked_at_a_page_at_a_time(long: Long) -> None:
    from playwright.sync_api import expect

    from browser.test_pages import problems

    page = long.page
    page.goto(f"/runs/{RUN}")
    expect(page.locator(".gantt-row").nth(5)).to_be_visible()
    assert long.elements() < MOST_ELEMENTS
    page.get_by_role("tab", name="Steps").click()
    expect(page.get_by_role("heading", name=re.compile("5,?000 steps"))).to_be_visible()
    steps = page.get_by_role("list", name="steps", exact=True)
    pager = page.get_by_role("navigation", name="Pages of steps")
    expect(steps.get_by_role("listitem")).to_have_count(100)
    pager.get_by_role("button", name="Later").click()
    expect(pager).to_contain_text(re.compile("101.200 of 5,?000"))
    steps.get_by_text("step 150").click()
    expect(steps.get_by_label("output", exact=True)).to_contain_text('"number": 150')
    assert problems(page) == []
    page.get_by_label("Name of a step").fill("step 4999")
    expect(steps.get_by_role("listitem")).to_have_count(1)
    assert long.elements() < MOST_ELEMENTS
    page.get_by_role("tab", name="Logs").click()
    expect(page.locator(".log-line").last).to_contain_text("line ")
    assert long.elements() < MOST_ELEMENTS


def test_a_workflow_of_200_steps_and_its_run_are_drawn_whole(long: Long) -> None:
    from playwright.sync_api import expect

    page = long.page
    page.goto(f"/workflows/{long.workflow}")
    expect(page.locator(".dag .node")).to_have_count(NODES)
    page.goto(f"/workflow-runs/{long.workflow_run}")
    expect(page.locator(".dag .node")).to_have_count(NODES)
    expect(page.locator('.node[data-step="s0"][data-status="waiting"]')).to_be_visible()
    assert long.elements() < MOST_ELEMENTS
    page.locator('.node[data-step="s199"]').focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="s199")).to_be_visible()
    page.get_by_role("tab", name="Timeline").click()
    expect(page.locator(".gantt-row").nth(9)).to_be_visible()
