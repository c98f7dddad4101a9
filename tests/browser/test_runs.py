"""Runs in a browser: from a form to a result, live, filtered, many."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from browser.conftest import Shop

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_a_job_is_triggered_from_its_form_and_its_result_is_on_the_page(page: Page) -> None:
    from playwright.sync_api import expect

    page.goto("/")
    page.get_by_role("link", name="Jobs", exact=True).first.click()
    page.goto("/jobs")
    page.get_by_role("button", name="Trigger hello").click()
    form = page.get_by_role("dialog")
    # Payloads that were used before are beside it, and have such a field, too.
    form.get_by_role("textbox", name="name").fill("Ada")
    form.get_by_label("times").fill("2")
    form.get_by_role("button", name="Trigger").click()
    expect(page).to_have_url(re.compile(r"/runs/[0-9a-f-]+$"))
    expect(page.locator("h1 .chip")).to_have_text("completed")
    page.get_by_role("tab", name="Input & output").click()
    expect(page.get_by_label("result", exact=True)).to_contain_text('"hello": "Ada, Ada"')


def test_a_form_says_what_is_wrong_with_a_payload(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    page.goto(f"/jobs/{shop.jobs['hello']}")
    page.get_by_role("button", name="Trigger").click()
    form = page.get_by_role("dialog")
    form.get_by_role("button", name="Edit as JSON").click()
    form.get_by_label("Payload as JSON").fill("{")
    form.get_by_role("button", name="Trigger", exact=True).click()
    expect(form.get_by_role("alert")).to_have_text("the payload is not valid JSON")
    page.keyboard.press("Escape")
    expect(form).to_have_count(0)


def test_a_new_run_appears_by_itself_and_moves_on(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    page.goto("/runs")
    expect(page.locator(".live")).to_have_text("live")
    run_id = shop.trigger("nightly-report", {})
    row = page.locator(f'tr[data-id="{run_id}"]')
    expect(row).to_contain_text("nightly-report")
    expect(row.locator(".chip")).to_have_text("completed")


def test_filters_are_in_the_address_and_hold_after_a_reload(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    done = shop.trigger("hello", {"name": "Filter"})
    other = shop.trigger("nightly-report", {})
    page.goto("/runs")
    page.get_by_label("Any job").select_option(label="hello")
    expect(page).to_have_url(re.compile(rf"job={shop.jobs['hello']}"))
    page.reload()
    expect(page.locator(f'tr[data-id="{done}"]')).to_be_visible()
    expect(page.locator(f'tr[data-id="{other}"]')).to_have_count(0)
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(f'tr[data-id="{other}"]')).to_be_visible()


def test_an_attempt_that_failed_is_seen_beside_the_one_that_did_not(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    run_id = shop.trigger("research", {"topic": "durable execution"})
    page.goto(f"/runs/{run_id}")
    expect(page.locator("h1 .chip")).to_have_text("completed")
    rows = page.locator(".gantt-row")
    expect(rows.filter(has_text="Attempt 1").locator(".gantt-bar.bad")).to_be_visible()
    expect(rows.filter(has_text="Attempt 2").locator(".gantt-bar.good")).to_be_visible()
    expect(rows.filter(has_text="Waiting").locator(".gantt-bar.wait").first).to_be_visible()
    expect(rows.filter(has_text="hello").locator(".gantt-bar.good")).to_be_visible()
    page.get_by_role("tab", name="Steps").click()
    expect(page.locator(".diff, .panel").first).to_contain_text("Difference to attempt 1")
    page.get_by_role("tab", name="Logs").click()
    page.get_by_label("Least level").select_option("error")
    expect(page.locator(".log-line").first).to_contain_text("the second page could not be read")
    page.get_by_role("tab", name="Cost").click()
    expect(page.locator(".panel")).to_contain_text("gpt-5-mini")
    page.get_by_role("tab", name="Stream").click()
    expect(page.locator(".stream")).to_contain_text("keeps what was done.")
    page.get_by_role("tab", name="State").click()
    expect(page.locator(".panel")).to_contain_text("412")


def test_steps_tell_which_attempt_carried_them_out_and_two_runs_are_compared(
    page: Page, shop: Shop
) -> None:
    from playwright.sync_api import expect

    from browser.test_pages import problems

    first = shop.trigger("pack", {"items": 2, "to": "Ada"})
    page.goto(f"/runs/{first}?tab=steps")
    expect(page.locator("h1 .chip")).to_have_text("completed")
    panel = page.get_by_role("tabpanel")
    expect(panel).to_contain_text("Attempt 1 carried out 1. Attempt 2 carried out 1 and found 1")
    expect(panel.get_by_role("listitem").nth(1)).to_contain_text("in attempt 2")
    panel.get_by_text("label", exact=True).click()
    expect(panel.get_by_label("input", exact=True)).to_contain_text("Ada")
    expect(panel.get_by_label("output", exact=True)).to_contain_text("parcel to Ada")
    second = shop.trigger("pack", {"items": 2, "to": "Grace"})
    page.goto(f"/runs/{second}?tab=compare")
    expect(page.locator("h1 .chip")).to_have_text("completed")
    page.goto(f"/runs/{second}?tab=compare&with={first}")
    expect(panel.get_by_role("heading", name="2 steps, 1 differ")).to_be_visible()
    expect(panel.get_by_role("region", name="Payload").locator(".added")).to_contain_text("Grace")
    steps = panel.get_by_role("listitem")
    expect(steps.nth(1)).to_contain_text("same")
    steps.nth(0).get_by_text("label").click()
    expect(steps.nth(0).locator(".removed")).to_contain_text("parcel to Ada")
    expect(steps.nth(0).locator(".added")).to_contain_text("parcel to Grace")
    assert problems(page) == []


def test_a_run_is_taken_away_as_one_file(page: Page, shop: Shop) -> None:
    run_id = shop.trigger("nightly-report", {})
    page.goto(f"/runs/{run_id}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Report", exact=True).click()
    assert download.value.suggested_filename == f"run-{run_id}.html"
    assert run_id in download.value.path().read_text("utf-8")


def test_a_run_is_replayed_with_another_payload(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    run_id = shop.trigger("hello", {"name": "Before"})
    page.goto(f"/runs/{run_id}")
    page.get_by_role("button", name="Replay with an edited payload").click()
    form = page.get_by_role("dialog")
    expect(form.get_by_label("name")).to_have_value("Before")
    form.get_by_label("name").fill("After")
    form.get_by_role("button", name="Start").click()
    expect(page).not_to_have_url(re.compile(run_id))
    page.get_by_role("tab", name="Input & output").click()
    expect(page.get_by_label("result", exact=True)).to_contain_text('"hello": "After"')


def test_a_run_that_waits_is_canceled_after_a_question(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    run_id = shop.trigger("await-payment", {"invoice": "cancel-me"})
    page.goto(f"/runs/{run_id}")
    expect(page.locator("h1 .chip")).to_have_text("waiting")
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.locator("h1 .chip")).to_have_text("canceled")
    assert shop.api.get(f"/v1/runs/{run_id}").json()["status"] == "canceled"


def test_several_runs_are_canceled_together(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    runs = [shop.trigger("await-payment", {"invoice": f"bulk-{number}"}) for number in range(2)]
    page.goto("/runs")
    for run_id in runs:
        expect(page.locator(f'tr[data-id="{run_id}"] .chip')).to_have_text("waiting")
        page.get_by_label(f"Select {run_id}").check()
    page.locator(".bulk").get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").last.click()
    for run_id in runs:
        expect(page.locator(f'tr[data-id="{run_id}"] .chip')).to_have_text("canceled")
