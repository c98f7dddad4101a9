"""A hundred thousand runs: the table shows a window of them, and stays quick."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.processes import running
from strait.clock import to_timestamp
from strait.engine.model import Run
from strait.engine.runs import State
from strait.server import bootstrap
from strait.server.run import Server
from strait.server.settings import Settings
from strait.server.unit import Unit
from strait.store import runs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

MANY = 100_000
BEGAN = 1_780_000_000_000_000
# Of rows in the document, with those a little out of sight.
MOST_ROWS = 60
# What one turn through a screen of rows may take on two slow cores that others share.
MOST_SCROLL_MS = 500


async def _fill(database: Path) -> None:
    async with Server(Settings(database=database, port=0)) as server:
        await bootstrap.ensure(server.platform, remember=database.with_name("runs.db.key"))

        def work(unit: Unit) -> None:
            for n in range(MANY):
                run = Run(
                    id=f"run-{n:06d}",
                    job_id="job",
                    project_id="proj_local",
                    status="completed" if n % 50 else "failed",
                    created_at=to_timestamp(BEGAN + n * 1_000_000),
                    attempt=1,
                    triggered_by="manual",
                    priority=0,
                    debug_mode=False,
                    lineage_depth=0,
                )
                runs.insert(unit.db, [(State(run), None)])

        await server.platform.write(work)


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    directory = tmp_path_factory.mktemp("many")
    # In a thread of its own: Playwright has a loop in this one.
    with ThreadPoolExecutor() as pool:
        pool.submit(asyncio.run, _fill(directory / "runs.db")).result()
    arguments = ("serve", "--port", "0", "--db", "runs.db", "--json")
    with running(*arguments, cwd=directory) as process:
        context = browser.new_context(base_url=process.base_url)
        made = context.new_page()
        made.goto("/runs")
        made.locator('tr[data-id="run-099999"]').wait_for()
        yield made
        context.close()


def test_only_rows_in_sight_are_in_the_document(page: Page) -> None:
    assert page.locator("tbody tr").count() < MOST_ROWS


def test_scrolling_reads_on_and_stays_quick(page: Page) -> None:
    page.evaluate(_SCROLL, 25)
    page.locator("text=/loaded, more below/").wait_for()
    slowest = page.evaluate(_SCROLL, 40)
    assert page.locator("tbody tr").count() < MOST_ROWS
    assert slowest < MOST_SCROLL_MS
    shown = page.locator("tbody tr[data-id]").first.get_attribute("data-id")
    assert shown is not None
    assert shown < "run-098000"


def test_a_filter_among_all_of_them_answers_at_once(page: Page) -> None:
    page.get_by_label("Any status").select_option("failed")
    row = page.locator('tr[data-id="run-099950"]')
    row.wait_for()
    assert page.locator("tbody tr[data-id] .chip.good").count() == 0


# Scrolls to the end of what is loaded, waits for more, and so on; gives the longest frame in ms.
_SCROLL = """async (turns) => {
  const box = document.querySelector(".scroll.tall");
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  let slowest = 0;
  for (let turn = 0; turn < turns; turn++) {
    const before = box.scrollHeight;
    const began = performance.now();
    box.scrollTop = box.scrollHeight;
    await frame();
    await frame();
    slowest = Math.max(slowest, performance.now() - began);
    for (let wait = 0; wait < 300 && box.scrollHeight === before; wait++) await frame();
  }
  return slowest;
}"""
