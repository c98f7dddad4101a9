"""A real browser in front of a real `strait dev`: the distribution's Chromium, by Playwright.

`make browser` installs what is missing where it may. Where there is no browser these tests are left
out with one line that says so, unless `STRAIT_DEMAND_BROWSER` is set, as it is in CI.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from cli.processes import Running, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

SHOP = Path(__file__).with_name("shop.py")
# For waits on conditions; two slow cores that others share may need it.
PATIENCE_MS = 20_000
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def _left_out(why: str) -> None:
    text = f"tests of the dashboard in a browser: {why}; `make browser` installs it"
    if os.environ.get("STRAIT_DEMAND_BROWSER"):
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One browser for all tests of this directory.

    Not of the session: Playwright runs a loop in this thread, beside which no other can begin.
    """
    executable = next(filter(None, map(shutil.which, _NAMES)), None)
    if executable is None:
        _left_out("there is no Chromium")
    try:
        from playwright.sync_api import expect, sync_playwright
    except ModuleNotFoundError:
        _left_out("Playwright is not installed")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        # Chromium refuses to run as root with its sandbox, and a container may have no /dev/shm.
        flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        started = playwright.chromium.launch(executable_path=executable, args=flags)
        yield started
        started.close()


class Shop:
    """A running `strait dev` with the jobs of `shop.py`, and its API beside the page."""

    def __init__(self, process: Running) -> None:
        self.process = process
        self.base_url = process.base_url
        self.api_key = str(process.ready["api_key"])
        self.api = httpx.Client(base_url=self.base_url, headers=process.headers, timeout=30)
        jobs = self.api.get("/v1/jobs", params={"limit": 100}).json()["data"]
        self.jobs = {job["slug"]: job["id"] for job in jobs}
        self.workflow = self.api.get("/v1/workflows").json()["data"][0]["id"]

    def trigger(self, slug: str, payload: object) -> str:
        """Trigger a job and return the id of its run."""
        answer = self.api.post(f"/v1/jobs/{self.jobs[slug]}/trigger", json={"payload": payload})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def order(self, number: int) -> str:
        """Run the workflow and return the id of the workflow run."""
        payload = {"order_id": f"o-{number}", "items": ["tea", "cup", "tea"]}
        path = f"/v1/workflows/{self.workflow}/trigger"
        answer = self.api.post(path, json={"payload": payload})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


@pytest.fixture(scope="package")
def shop(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A platform with jobs; it starts only where there is a browser to look at it."""
    arguments = ("dev", str(SHOP), "--port", "0", "--ephemeral", "--json")
    with running(*arguments, cwd=tmp_path_factory.mktemp("shop")) as process:
        made = Shop(process)
        yield made
        made.api.close()
        assert process.stop() == 0


@pytest.fixture
def context(browser: Browser, shop: Shop) -> Iterator[BrowserContext]:
    """A browser that knows nothing yet."""
    made = browser.new_context(base_url=shop.base_url, viewport={"width": 1280, "height": 800})
    made.set_default_timeout(PATIENCE_MS)
    yield made
    made.close()


def _is_wrong(told: ConsoleMessage) -> bool:
    # A run may end while the page opens its stream. The browser calls the answer an error.
    return told.type == "error" and "410 (Gone)" not in told.text


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page on which nothing may go wrong: no error of a script, nothing that the policy stops."""
    made = context.new_page()
    wrong: list[str] = []
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on("console", lambda told: wrong.append(told.text) if _is_wrong(told) else None)
    yield made
    made.close()
    assert not wrong
