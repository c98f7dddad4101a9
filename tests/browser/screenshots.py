"""`make screenshots`: the pictures of the documentation, of a real platform that runs `shop.py`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from browser.conftest import PATIENCE_MS, SHOP, Shop
from cli.processes import running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize

Scheme = Literal["dark", "light"]

DOCS = Path(__file__).parents[2] / "docs" / "screenshots"
WIDE: ViewportSize = {"width": 1280, "height": 800}
NARROW: ViewportSize = {"width": 390, "height": 780}
NAMES = ("Ada", "Grace", "Edsger", "Barbara", "Tony", "Leslie", "Margaret", "Radia")


def main() -> None:
    """Fill a platform, look at it, and keep what is seen."""
    from playwright.sync_api import sync_playwright

    DOCS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        # As a reader would have it: pages show where the code is, seen from where one is.
        shutil.copy(SHOP, directory)
        arguments = ("dev", SHOP.name, "--port", "0", "--ephemeral", "--json")
        executable = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        with running(*arguments, cwd=Path(directory)) as process:
            shop = Shop(process)
            for picture, page in _pictures(browser, shop):
                page.screenshot(path=DOCS / f"{picture}.png")
                print(f"docs/screenshots/{picture}.png")
                page.context.close()
            shop.api.close()
        browser.close()


def _pictures(browser: Browser, shop: Shop) -> Iterator[tuple[str, Page]]:
    def seen(path: str, wait: str, size: ViewportSize = WIDE, scheme: Scheme = "light") -> Page:
        context = browser.new_context(
            base_url=shop.base_url, viewport=size, color_scheme=scheme, reduced_motion="reduce"
        )
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.goto(path)
        page.locator(wait).first.wait_for()
        page.locator(".live.on").wait_for()
        return page

    orders = [shop.order(number) for number in range(1042, 1046)]
    order = f"/workflow-runs/{orders[-1]}"
    yield "workflow-run", seen(order, '.node[data-step="approve"][data-status="waiting"]')
    research = shop.trigger("research", {"topic": "durable execution"})
    shop.trigger("send-mail", {"to": "nobody@example.com"})
    for name in NAMES:
        shop.trigger("hello", {"name": name})
    waiting = shop.trigger("await-payment", {"invoice": "2041"})
    yield "runs", seen("/runs", ".chip.bad >> text=dead letter")
    done = seen(f"/runs/{research}", ".chip.good")
    done.locator(".gantt-row >> text=Attempt 2").wait_for()
    yield "run", done
    yield "run-dark", seen(f"/runs/{research}", ".gantt-row >> text=hello", scheme="dark")
    yield "workflow-run-narrow", seen(order, '.node[data-status="waiting"]', NARROW)
    yield "approvals", seen("/approvals", "text=What it is about")
    yield "job", seen(f"/jobs/{shop.jobs['hello']}", ".plot")
    shop.api.delete(f"/v1/runs/{waiting}")


if __name__ == "__main__":
    main()
