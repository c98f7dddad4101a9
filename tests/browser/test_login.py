"""The way in where the page does not open by itself: a login, a prefix of a proxy, a way out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest

from cli.processes import Running, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def guarded(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A platform that was told of a proxy, and so trusts nobody for where they come from."""
    arguments = ("serve", "--port", "0", "--root-path", "/strait", "--ephemeral", "--json")
    with running(*arguments, cwd=tmp_path_factory.mktemp("guarded")) as process:
        yield process


@pytest.fixture
def page(browser: Browser, guarded: Running) -> Iterator[Page]:
    context = browser.new_context(base_url=guarded.base_url)
    made = context.new_page()
    yield made
    context.close()


def test_a_key_opens_the_page_once_and_is_kept_nowhere(page: Page, guarded: Running) -> None:
    from playwright.sync_api import expect

    page.goto("/strait/jobs")
    expect(page.get_by_role("heading", name="strait")).to_be_visible()
    page.get_by_label("API key").fill("strait_wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("invalid api key")
    page.get_by_label("API key").fill(guarded.ready["api_key"])
    page.get_by_role("button", name="Log in").click()
    # Where they were going, not where everybody begins.
    expect(page.locator("h1")).to_have_text("Jobs")
    expect(page.locator(".live")).to_have_text("live")
    assert page.url.startswith(f"{guarded.base_url}/strait/")
    page.reload()
    expect(page.locator(".live")).to_have_text("live")
    stored = page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")
    assert guarded.ready["api_key"] not in stored + page.content()
    page.get_by_role("link", name="Settings").click()
    expect(page).to_have_url(f"{guarded.base_url}/strait/settings")


def test_who_logs_out_is_out(page: Page, guarded: Running) -> None:
    from playwright.sync_api import expect

    page.goto("/strait/")
    page.get_by_label("API key").fill(guarded.ready["api_key"])
    page.get_by_role("button", name="Log in").click()
    expect(page.locator(".live")).to_have_text("live")
    kept = page.context.cookies()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    page.context.add_cookies(kept)
    page.goto("/strait/runs")
    expect(page.get_by_label("API key")).to_be_visible()


def test_a_tab_shows_no_other_project_than_the_one_that_it_acts_in(
    page: Page, guarded: Running
) -> None:
    from playwright.sync_api import expect

    def log_in(where: Page, key: str) -> None:
        where.goto("/strait/login?to=/strait/settings%3Ftab%3Dsession")
        where.get_by_label("API key").fill(key)
        where.get_by_role("button", name="Log in").click()
        expect(where.locator(".project")).to_be_visible()

    body = {"project_id": guarded.ready["project_id"], "name": "other", "scopes": ["jobs:read"]}
    with httpx.Client(base_url=guarded.base_url, headers=guarded.headers) as api:
        made = api.post("/v1/api-keys", json={**body, "expires_in_days": 1}).json()
    log_in(page, guarded.ready["api_key"])
    expect(page.locator(".facts")).not_to_contain_text("jobs:read")
    log_in(page.context.new_page(), made["key"])
    expect(page.locator(".facts")).to_contain_text("jobs:read")


def test_a_key_that_may_little_is_told_what_it_may_not(page: Page, guarded: Running) -> None:
    from playwright.sync_api import expect

    asked: list[str] = []
    broken: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: broken.append(str(error)))
    body = {"project_id": guarded.ready["project_id"], "name": "little", "scopes": ["jobs:read"]}
    with httpx.Client(base_url=guarded.base_url, headers=guarded.headers) as api:
        made = api.post("/v1/api-keys", json={**body, "expires_in_days": 1}).json()
    page.goto("/strait/webhooks")
    page.get_by_label("API key").fill(made["key"])
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("h1")).to_have_text("Webhooks")
    told = page.get_by_role("alert")
    expect(told).to_contain_text("insufficient permissions: requires runs:read")
    expect(told).to_contain_text("Log out, and in again with another one.")
    page.get_by_role("tab", name="Subscriptions").click()
    expect(told).to_contain_text("insufficient permissions: requires webhooks:read")
    for tab, scope in {"API keys": "api-keys:manage", "Secrets": "secrets:read"}.items():
        page.goto("/strait/settings?tab=session")
        page.get_by_role("tab", name=tab).click()
        expect(told).to_contain_text(f"insufficient permissions: requires {scope}")
    # It may not follow the project, is told so, and does not ask again and again.
    expect(page.locator(".live")).to_have_text("not live")
    asked.clear()
    page.clock.install()
    page.reload()
    expect(page.locator(".live")).to_have_text("not live")
    page.clock.run_for(60_000)
    assert len([url for url in asked if url.endswith("/activity/stream")]) == 1
    assert broken == []


def test_a_page_of_another_site_reaches_nothing(page: Page, guarded: Running) -> None:
    page.goto("/strait/")
    page.get_by_label("API key").fill(guarded.ready["api_key"])
    page.get_by_role("button", name="Log in").click()
    page.locator(".live.on").wait_for()
    # A page of another origin on the same machine, whose requests carry cookies of this host.
    attack = """async (target) => {
      const options = {method: "POST", credentials: "include", mode: "no-cors", body: "{}"};
      await fetch(target + "/strait/dashboard/session", options).catch(() => null);
      return fetch(target + "/strait/v1/jobs", {credentials: "include"})
        .then((answer) => answer.status, (error) => String(error));
    }"""
    other = page.context.new_page()
    other.route("http://localhost:1/", lambda route: route.fulfill(body="<p>another site</p>"))
    other.goto("http://localhost:1/")
    port = guarded.base_url.rpartition(":")[2]
    told = other.evaluate(attack, f"http://localhost:{port}")
    assert "Failed to fetch" in str(told), json.dumps(told)
    page.reload()
    page.locator(".live.on").wait_for()
