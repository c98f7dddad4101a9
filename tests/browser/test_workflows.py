"""Workflow runs in a browser: their picture, live, and what people decide."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from browser.conftest import Shop

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def _is_waited_for(page: Page) -> None:
    from playwright.sync_api import expect

    expect(page.locator('.node[data-step="approve"]')).to_have_attribute("data-status", "waiting")
    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_visible()


def test_the_picture_follows_the_steps_and_a_person_lets_them_go_on(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    run_id = shop.order(1)
    page.goto(f"/workflow-runs/{run_id}")
    _is_waited_for(page)
    expect(page.locator('.node[data-step="ship"]')).to_have_attribute("data-status", "pending")
    page.get_by_role("button", name="Approve", exact=True).click()
    form = page.get_by_role("dialog")
    form.get_by_role("button", name="Approve", exact=True).click()
    expect(form.get_by_role("alert")).to_have_text("say who you are")
    form.get_by_label("Your name").fill("Ada Lovelace")
    form.get_by_role("button", name="Approve", exact=True).click()
    for step in ("approve", "ship", "thank"):
        node = page.locator(f'.node[data-step="{step}"]')
        expect(node).to_have_attribute("data-status", "completed")
    expect(page.locator("h1 .chip")).to_have_text("completed")
    page.get_by_role("tab", name="Timeline").click()
    expect(page.locator(".gantt-row").filter(has_text="approve").locator(".wait")).to_be_visible()
    page.get_by_role("tab", name="Input & output").click()
    expect(page.get_by_label("outputs", exact=True)).to_contain_text("9F2C61AA")


def test_an_approval_is_in_the_inbox_until_it_is_rejected_with_a_reason(
    page: Page, shop: Shop
) -> None:
    from playwright.sync_api import expect

    page.goto("/approvals")
    expect(page.locator(".live")).to_have_text("live")
    run_id = shop.order(2)
    open_run = page.locator(f'a[href$="/workflow-runs/{run_id}"]')
    item = page.locator("section.card").filter(has=open_run)
    item.get_by_role("button", name="Reject").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Your name").fill("Grace Hopper")
    form.get_by_role("button", name="Reject").click()
    expect(form.get_by_role("alert")).to_have_text("say why")
    form.get_by_label("Reason").fill("the address is not complete")
    form.get_by_role("button", name="Reject").click()
    expect(open_run).to_have_count(0)
    page.goto(f"/workflow-runs/{run_id}")
    expect(page.locator("h1 .chip")).to_have_text("failed")
    why = "rejected by Grace Hopper: the address is not complete"
    expect(page.locator(".failure").first).to_contain_text(why)


def test_a_dead_letter_appears_and_is_tried_again(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    page.goto("/dead-letters")
    run_id = shop.trigger("send-mail", {"to": "again@example.com"})
    row = page.locator(f'tr[data-id="{run_id}"]')
    expect(row).to_contain_text("the mailbox again@example.com does not exist")
    page.get_by_label(f"Select {run_id}").check()
    page.locator(".bulk").get_by_role("button", name="Try again").click()
    expect(page.locator(".toast").filter(has_text="1 run queued again")).to_be_visible()


def test_all_dead_letters_are_tried_again(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    # Nobody listens there. A job of its own, so that no other run has opened its circuit.
    body = {
        "project_id": "proj_local", "name": "Nobody", "slug": "nobody",
        "endpoint_url": "http://127.0.0.1:9/nobody", "max_attempts": 1,
    }  # fmt: skip
    shop.jobs["nobody"] = shop.api.post("/v1/jobs", json=body).json()["id"]
    page.goto("/dead-letters")
    run_id = shop.trigger("nobody", {})
    expect(page.locator(f'tr[data-id="{run_id}"]')).to_be_visible()
    page.get_by_role("button", name="Try all again").click()
    page.get_by_role("dialog").get_by_role("button", name="Try again").click()
    queued = page.locator(".toast").filter(has_text=re.compile(r"\d+ runs? queued again"))
    expect(queued).to_be_visible()


def test_who_waits_for_an_event_is_sent_one(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    run_id = shop.trigger("await-payment", {"invoice": "sent-here"})
    page.goto(f"/runs/{run_id}")
    expect(page.locator("h1 .chip")).to_have_text("waiting")
    page.goto("/events")
    page.get_by_role("button", name="Send invoice-paid-sent-here").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Payload as JSON").fill('{"amount": 12}')
    form.get_by_role("button", name="Send", exact=True).click()
    page.goto(f"/runs/{run_id}?tab=data")
    expect(page.locator("h1 .chip")).to_have_text("completed")
    expect(page.get_by_label("result", exact=True)).to_contain_text('"amount": 12')


def test_a_schedule_says_when_it_fires_next(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    page.goto("/schedules")
    row = page.locator("tr").filter(has_text="nightly-report")
    expect(row).to_contain_text("15 3 * * *")
    expect(row).to_contain_text("Europe/Berlin")
    expect(row.locator("time")).to_have_text(re.compile(r"in \d+ [hm]"))
    page.goto(f"/jobs/{shop.jobs['nightly-report']}")
    expect(page.get_by_label("Next runs").locator("li")).to_have_count(5)


def test_two_runs_of_a_workflow_are_compared_and_one_is_taken_away(page: Page, shop: Shop) -> None:
    from playwright.sync_api import expect

    from browser.test_pages import problems

    first, second = shop.order(31), shop.order(32)
    page.goto(f"/workflow-runs/{second}?tab=compare&with={first}")
    panel = page.get_by_role("tabpanel")
    expect(panel.get_by_role("region", name="Payload").locator(".removed")).to_contain_text("o-31")
    expect(panel.get_by_role("region", name="Payload").locator(".added")).to_contain_text("o-32")
    expect(panel.get_by_role("row").filter(has_text="validate")).to_contain_text("→")
    assert problems(page) == []
    with page.expect_download() as download:
        page.get_by_role("link", name="Report", exact=True).click()
    assert download.value.suggested_filename == f"workflow-run-{second}.html"
