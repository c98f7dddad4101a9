"""Behind a TLS proxy and a path prefix that nobody has told the server of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from browser.conftest import PATIENCE_MS, Shop
from browser.proxy import proxy
from support.certificates import self_signed

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(
    browser: Browser, shop: Shop, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    certificate = self_signed(tmp_path_factory.mktemp("tls")).both
    port = int(shop.base_url.rpartition(":")[2])
    with proxy(port, "/tools/strait", certificate) as made:
        yield f"{made}/tools/strait"


@pytest.fixture
def outside(browser: Browser, address: str) -> Iterator[Page]:
    """A page that comes through the proxy."""
    context = browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def test_the_page_asks_for_a_key_and_works_below_the_prefix(
    outside: Page, address: str, shop: Shop
) -> None:
    from playwright.sync_api import expect

    outside.goto(f"{address}/jobs")
    outside.get_by_label("API key").fill(shop.api_key)
    outside.get_by_role("button", name="Log in").click()
    expect(outside.locator("h1")).to_have_text(re.compile("Jobs|Runs"))
    expect(outside.locator(".live")).to_have_text("live")
    (cookie,) = outside.context.cookies()
    assert (cookie["path"], cookie["secure"], cookie["httpOnly"]) == ("/tools/strait/", True, True)
    outside.get_by_role("link", name="Runs", exact=True).click()
    expect(outside).to_have_url(f"{address}/runs")
    # It comes over the stream, through the proxy.
    run_id = shop.trigger("nightly-report", {})
    outside.locator(f'tr[data-id="{run_id}"] a').first.click()
    expect(outside).to_have_url(f"{address}/runs/{run_id}")
    expect(outside.locator("h1 .chip")).to_have_text("completed")
    outside.reload()
    expect(outside.locator("h1 .chip")).to_have_text("completed")
    # Chromium downloads nothing from who has signed its own certificate.
    read = "(link) => fetch(link.href).then((answer) => answer.text())"
    report = outside.get_by_role("link", name="Report", exact=True)
    assert report.get_attribute("href") == f"{address}/v1/runs/{run_id}/report"
    assert run_id in report.evaluate(read)
    beside = outside.request.get(f"{address.removesuffix('/tools/strait')}/runs")
    assert beside.status == 404
