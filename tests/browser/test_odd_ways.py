"""What people really have: long names, odd addresses, large ids, keys alone, a busy project."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from browser.conftest import Shop
from strait.server.auth import SCOPES
from strait.server.routes.webhooks import EVENT_TYPES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.browser

SNOWFLAKE = 9_007_199_254_740_993


def _job(shop: Shop, slug: str, **fields: Any) -> str:
    """A job of which no handler is there: its runs fail."""
    body = {"project_id": "proj_local", "name": slug, "slug": slug, "max_attempts": 1, **fields}
    answer = shop.api.post("/v1/jobs", json={"endpoint_url": "http://127.0.0.1:9/", **body})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


@pytest.mark.parametrize("path", ["/runs/%E0%A4%A", "/runs/%25", "/jobs/a%2Fb"])
def test_an_address_that_leads_nowhere_says_so(
    context: BrowserContext, shop: Shop, path: str
) -> None:
    from playwright.sync_api import expect

    page = context.new_page()
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.goto(path)
    expect(page.get_by_role("alert")).to_contain_text("not found")
    expect(page).to_have_title("strait")
    assert broken == []


def test_a_name_of_any_length_hides_nothing_else(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    slug = "l" * 100
    job = _job(shop, slug, name="L" * 250)
    run_id = shop.api.post(f"/v1/jobs/{job}/trigger", json={"payload": {}}).json()["id"]
    page.goto("/runs")
    row = page.locator(f'tr[data-id="{run_id}"]')
    expect(row.locator(".name")).to_have_attribute("title", slug)
    assert row.locator("td").nth(6).evaluate("it => it.getBoundingClientRect().left") < 1280
    page.set_viewport_size({"width": 400, "height": 780})
    page.goto(f"/jobs/{job}")
    heading = page.locator("h1")
    expect(heading).to_contain_text("LLL")
    assert heading.evaluate("it => it.scrollWidth <= it.clientWidth")


def test_a_whole_number_of_64_bits_is_shown_and_sent_as_it_is(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    run_id = shop.trigger("nightly-report", {"order": SNOWFLAKE, "at": 1.5})
    page.goto(f"/runs/{run_id}?tab=data")
    expect(page.get_by_label("payload", exact=True)).to_contain_text(str(SNOWFLAKE))
    page.get_by_role("button", name="Replay with an edited payload").click()
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    expect(page).not_to_have_url(re.compile(run_id))
    replayed = page.url.rpartition("/")[2].partition("?")[0]
    payload = shop.api.get(f"/v1/runs/{replayed}").json()["payload"]
    assert payload == {"order": SNOWFLAKE, "at": 1.5}


def test_a_field_for_a_number_takes_all_of_its_digits(page: Page, shop: Shop) -> None:
    schema = {"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]}
    job = _job(shop, "numbered", payload_schema=schema)
    page.goto(f"/jobs/{job}")
    page.get_by_role("button", name="Trigger").click()
    page.get_by_role("dialog").get_by_label("order").fill(str(SNOWFLAKE))
    page.get_by_role("dialog").get_by_role("button", name="Trigger", exact=True).click()
    page.wait_for_url(re.compile("/runs/"))
    run_id = page.url.rpartition("/")[2]
    assert shop.api.get(f"/v1/runs/{run_id}").json()["payload"] == {"order": SNOWFLAKE}
    page.get_by_role("button", name="Replay with an edited payload").click()
    assert page.get_by_role("dialog").get_by_label("order").input_value() == str(SNOWFLAKE)


def test_a_tag_with_a_colon_leads_to_the_runs_that_have_it(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    path = f"/v1/jobs/{shop.jobs['nightly-report']}/trigger"
    tagged = shop.api.post(path, json={"payload": {}, "tags": {"from": "https://a.example:1/b"}})
    run_id = tagged.json()["id"]
    page.goto(f"/runs/{run_id}")
    page.get_by_role("link", name="from: https://a.example:1/b").click()
    expect(page.locator(f'tr[data-id="{run_id}"]')).to_be_visible()
    expect(page.locator("tbody tr[data-id]")).to_have_count(1)


def test_what_a_filter_hides_is_not_selected_any_more(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    run_id = shop.trigger("nightly-report", {})
    page.goto("/runs")
    page.get_by_label(f"Select {run_id}").check()
    expect(page.locator(".bulk")).to_contain_text("1 run selected")
    page.get_by_label("Any status").select_option("paused")
    expect(page.locator(f'tr[data-id="{run_id}"]')).to_have_count(0)
    expect(page.locator(".bulk")).to_be_hidden()


def test_the_focus_stays_where_it_is_while_a_run_goes_on(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    run_id = shop.trigger("await-payment", {"invoice": "focus"})
    page.goto(f"/runs/{run_id}")
    expect(page.locator("h1 .chip")).to_have_text("waiting")
    edit = page.get_by_role("button", name="Replay with an edited payload")
    edit.focus()
    shop.api.post("/v1/events/invoice-paid-focus/send", json={"payload": 1})
    expect(page.locator("h1 .chip")).to_have_text("completed")
    expect(edit).to_be_focused()


def test_a_dialog_gives_the_focus_to_where_its_question_came_from(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    run_id = shop.trigger("await-payment", {"invoice": "dialog"})
    page.goto(f"/runs/{run_id}")
    expect(page.locator("h1 .chip")).to_have_text("waiting")
    edit = page.get_by_role("button", name="Replay with an edited payload")
    edit.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    shop.api.post("/v1/events/invoice-paid-dialog/send", json={"payload": 1})
    expect(page.locator("h1 .chip")).to_have_text("completed")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(edit).to_be_focused()


def test_an_approval_stays_open_while_others_come(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    shop.order(70)
    page.goto("/approvals")
    about = page.locator("summary", has_text="What it is about").first
    about.click()
    expect(page.get_by_label("payload", exact=True).first).to_be_visible()
    before = page.locator(".card").count()
    shop.order(71)
    expect(page.locator(".card")).to_have_count(before + 1)
    expect(page.get_by_label("payload", exact=True).first).to_be_visible()
    expect(about).to_be_focused()


def test_the_menu_says_whether_it_is_open_and_escape_closes_it(page: Page) -> None:
    from playwright.sync_api import expect

    page.set_viewport_size({"width": 400, "height": 780})
    page.goto("/events")
    menu = page.get_by_role("button", name="Menu")
    menu.click()
    expect(menu).to_have_attribute("aria-expanded", "true")
    page.get_by_role("link", name="Jobs", exact=True).press("Escape")
    expect(menu).to_have_attribute("aria-expanded", "false")
    expect(menu).to_be_focused()
    menu.click()
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(page.locator("h1")).to_have_text("Jobs")
    expect(menu).to_have_attribute("aria-expanded", "false")


def test_a_key_is_made_with_any_scope_and_copied_where_there_is_no_clipboard(
    page: Page, shop: Shop
) -> None:
    from playwright.sync_api import expect

    # So it is on a page without TLS that is not on this machine.
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.goto("/settings")
    page.get_by_role("button", name="Make a key").click()
    form = page.get_by_role("dialog")
    offered = form.get_by_role("checkbox").evaluate_all("all => all.map((each) => each.value)")
    assert set(offered) == SCOPES
    form.get_by_label("Name").fill("for a worker")
    form.get_by_label("workers:connect").check()
    form.get_by_role("button", name="Make it").click()
    key = form.get_by_role("button", name=re.compile("^Copy strait_"))
    expect(key).to_be_visible()
    told = str(key.get_attribute("aria-label")).removeprefix("Copy ")
    page.evaluate("addEventListener('copy', () => (window.copied = String(getSelection())))")
    key.click()
    expect(page.get_by_text("Copied", exact=True)).to_be_visible()
    assert page.evaluate("window.copied") == told
    form.get_by_role("button", name="Done").click()
    expect(page.locator("tr", has_text="for a worker")).to_contain_text("workers:connect")
    assert told not in page.content()


def test_a_key_that_was_rotated_is_shown_until_it_ends(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    body = {"project_id": "proj_local", "name": "turned", "scopes": ["jobs:read"]}
    made = shop.api.post("/v1/api-keys", json={**body, "expires_in_days": 1}).json()
    shop.api.post(f"/v1/api-keys/{made['id']}/rotate", json={"grace_period_minutes": 30})
    page.goto("/settings")
    old = page.locator("tr", has_text=made["key_prefix"])
    expect(old).to_contain_text(re.compile(r"rotated, ends in (29|30) m"))
    expect(old.get_by_role("button", name="Rotate")).to_have_count(0)
    old.get_by_role("button", name="Revoke turned").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(old.locator(".chip")).to_have_text("revoked")


def test_every_kind_of_event_that_is_offered_can_be_subscribed_to(page: Page) -> None:
    from playwright.sync_api import expect

    page.goto("/webhooks")
    page.get_by_role("button", name="Subscribe").click()
    form = page.get_by_role("dialog")
    kinds = form.get_by_role("checkbox")
    offered = set(kinds.evaluate_all("all => all.map((each) => each.value)"))
    assert offered <= EVENT_TYPES
    for kind in sorted(offered):
        form.get_by_label(kind).check()
    form.get_by_label("Address").fill("http://127.0.0.1:9/hooks")
    form.get_by_role("button", name="Subscribe").click()
    expect(form.get_by_role("heading")).to_have_text("The signing secret")


def test_a_run_that_is_put_off_is_rescheduled_in_the_time_of_the_browser(
    browser: Browser, shop: Shop
) -> None:
    from playwright.sync_api import expect

    path = f"/v1/jobs/{shop.jobs['nightly-report']}/trigger"
    later = (datetime.now(UTC) + timedelta(days=2)).replace(second=0, microsecond=0)
    body = {"payload": {}, "scheduled_at": later.isoformat()}
    run_id = shop.api.post(path, json=body).json()["id"]
    context = browser.new_context(base_url=shop.base_url, timezone_id="Asia/Kolkata")
    page = context.new_page()
    page.goto(f"/runs/{run_id}")
    page.get_by_role("button", name="Reschedule").click()
    field = page.get_by_role("dialog").get_by_label("Not before")
    there = later.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert field.input_value() == there.strftime("%Y-%m-%dT%H:%M")
    field.fill((there + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M"))
    page.get_by_role("dialog").get_by_role("button", name="Reschedule").click()
    expect(page.get_by_text("Rescheduled")).to_be_visible()
    shown = shop.api.get(f"/v1/runs/{run_id}").json()["scheduled_at"]
    assert datetime.fromisoformat(shown) == later + timedelta(days=1)
    context.close()


def test_only_what_can_be_paused_is_offered_to_be(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    run_id = shop.trigger("await-payment", {"invoice": "no-pause"})
    page.goto(f"/runs/{run_id}")
    expect(page.locator("h1 .chip")).to_have_text("waiting")
    expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    refused = shop.api.post(f"/v1/runs/{run_id}/pause", json={})
    assert refused.status_code == 400
