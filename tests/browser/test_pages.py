"""All pages in a browser: whole, usable by everybody, by keys alone, on narrow screens."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from browser.conftest import Shop

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.browser

PAGES = {
    "/runs": "Runs",
    "/workflow-runs": "Workflow runs",
    "/approvals": "Approvals",
    "/dead-letters": "Dead letters",
    "/jobs": "Jobs",
    "/workflows": "Workflows",
    "/events": "Events",
    "/schedules": "Schedules",
    "/costs": "Costs",
    "/webhooks": "Webhooks",
    "/settings": "Settings",
    "/system": "System",
}
# The rules of WCAG 2.1, levels A and AA.
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}


def problems(page: Page) -> list[str]:
    """What axe finds wrong with a page, and where."""
    from axe_playwright_python.sync_playwright import Axe

    found: list[dict[str, Any]] = Axe().run(page, options=RULES).response["violations"]
    return [
        f"{each['id']} ({each['help']}): {[node['target'] for node in each['nodes']][:3]}"
        for each in found
    ]


@pytest.fixture(scope="module", autouse=True)
def lived_in(shop: Shop) -> str:
    """Something of everything, so that no page is empty."""
    shop.trigger("send-mail", {"to": "nobody@example.com"})
    shop.trigger("research", {"topic": "accessibility"})
    shop.trigger("await-payment", {"invoice": "7"})
    return shop.order(7)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_whole_and_everybody_can_use_it(page: Page, path: str) -> None:
    from playwright.sync_api import expect

    page.goto(path)
    expect(page.locator("h1")).to_have_text(PAGES[path])
    expect(page.locator(".live")).to_have_text("live")
    expect(page).to_have_title(re.compile(f"^{PAGES[path]} · strait$"))
    expect(page.locator(".failure")).to_have_count(0)
    assert problems(page) == []


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_run_and_a_workflow_run_can_be_used_by_everybody(
    page: Page, shop: Shop, lived_in: str, scheme: Any
) -> None:
    from playwright.sync_api import expect

    page.emulate_media(color_scheme=scheme)
    failed = shop.api.get("/v1/runs", params={"job_id": shop.jobs["research"]}).json()["data"][0]
    for path, wait in {
        f"/runs/{failed['id']}": ".gantt-row >> text=Attempt 2",
        f"/workflow-runs/{lived_in}": '.node[data-step="approve"][data-status="waiting"]',
        f"/jobs/{shop.jobs['hello']}": "text=Definition",
        f"/workflows/{shop.workflow}": '.node[data-step="approve"]',
    }.items():
        page.goto(path)
        expect(page.locator(wait).first).to_be_visible()
        assert problems(page) == []


def test_time_goes_on_evenly_where_nothing_ran(page: Page, shop: Shop, lived_in: str) -> None:
    from playwright.sync_api import expect

    for path, spans in (("/system", 25), (f"/jobs/{shop.jobs['hello']}", 8)):
        page.goto(path)
        newest = page.locator(".plot").first.locator("rect").last
        expect(newest).to_be_visible()
        # Runs were made now only, which is at the right end.
        assert float(newest.get_attribute("x") or 0) >= 560 * (spans - 2) / spans
        first, last = page.locator(".plot").first.locator(".plot-axis span").all_inner_texts()
        assert first
        assert last
        assert path == "/system" or first < last


def test_on_a_narrow_screen_nothing_hangs_out_and_the_menu_leads_on(
    page: Page, lived_in: str
) -> None:
    from playwright.sync_api import expect

    page.set_viewport_size({"width": 390, "height": 780})
    for path in ("/runs", f"/workflow-runs/{lived_in}", "/settings", "/system"):
        page.goto(path)
        expect(page.locator(".live")).to_have_text("live")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, path
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(page.locator("h1")).to_have_text("Jobs")
    expect(page.locator("#nav")).to_be_hidden()


def test_keys_alone_lead_everywhere(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    shop.trigger("hello", {"name": "keys"})
    page.goto("/costs")
    expect(page.locator("h1")).to_have_text("Costs")
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page.locator("h1")).to_have_text("Runs")
    expect(page.locator("tbody tr .chip").first).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_label("Tag, as key:value")).to_be_focused()
    page.get_by_role("region", name="Runs").focus()
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator(".bulk")).to_contain_text("1 run selected")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/runs/[0-9a-f-]+$"))
    page.get_by_role("tab", name="Timeline").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Steps")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("g r")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_colours_are_kept_once_they_were_chosen(page: Page) -> None:
    from playwright.sync_api import expect

    page.goto("/runs")
    page.get_by_role("button", name="Change colours").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_what_is_in_a_payload_is_text_and_nothing_else(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    evil = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
    run_id = shop.trigger("hello", {"name": evil})
    page.goto(f"/runs/{run_id}?tab=data")
    expect(page.get_by_label("payload", exact=True)).to_contain_text("onerror")
    assert page.locator("main img, main script").count() == 0
    assert "taken" not in page.title()


def test_nothing_is_asked_for_beyond_this_server(context: BrowserContext, shop: Shop) -> None:
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.goto("/runs")
    page.locator(".live.on").wait_for()
    assert asked
    assert all(url.startswith(shop.base_url) for url in asked)
    assert shop.api_key not in page.content()
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})") == "{}"
