"""From an empty directory to a result on the page, by `strait init` and `strait dev`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from browser.conftest import PATIENCE_MS
from cli.processes import Running, running, strait

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def project(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `strait init` writes into an empty directory."""
    directory = tmp_path_factory.mktemp("first")
    done = strait("init", "greetings", cwd=directory)
    assert done.returncode == 0, done.stderr
    return directory / "greetings"


@pytest.fixture(scope="module")
def dev(project: Path) -> Iterator[Running]:
    with running("dev", "--port", "0", "--json", cwd=project) as process:
        yield process
        assert process.stop() == 0


@pytest.fixture
def page(browser: Browser, dev: Running) -> Iterator[Page]:
    context = browser.new_context(base_url=dev.base_url)
    context.set_default_timeout(PATIENCE_MS)
    made = context.new_page()
    wrong: list[str] = []
    made.on("pageerror", lambda error: wrong.append(str(error)))
    yield made
    context.close()
    assert not wrong


def trigger(page: Page, name: str) -> None:
    """Trigger the one job by its form, and wait for the result on the page of the run."""
    from playwright.sync_api import expect

    page.goto("/jobs")
    page.get_by_role("button", name="Trigger greet").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Payload as JSON").fill(f'{{"name": "{name}"}}')
    form.get_by_role("button", name="Trigger", exact=True).click()
    expect(page).to_have_url(re.compile(r"/runs/[0-9a-f-]+$"))
    expect(page.locator("h1 .chip")).to_have_text("completed")
    page.get_by_role("tab", name="Input & output").click()
    expect(page.get_by_label("result", exact=True)).to_contain_text(f'"text": "hello {name}"')


def test_a_project_that_was_begun_now_gives_its_first_result_on_the_page(page: Page) -> None:
    trigger(page, "Ada")


def test_a_job_says_where_in_the_code_it_is(page: Page) -> None:
    from playwright.sync_api import expect

    page.goto("/jobs")
    page.get_by_role("link", name="greet").first.click()
    code = page.get_by_role("region", name="Definition").locator("dd", has_text="main.py:")
    expect(code).to_have_text(re.compile(r"^main\.py:\d+ as main:greet_job$"))


def test_code_that_cannot_be_loaded_is_told_until_it_is_put_right(
    page: Page, project: Path
) -> None:
    from playwright.sync_api import expect

    from browser.test_pages import problems

    page.goto("/runs")
    banner = page.get_by_role("alert").filter(has_text="cannot be loaded")
    expect(page.locator(".live")).to_have_text("live")
    expect(banner).to_have_count(0)
    file = project / "main.py"
    whole = file.read_text()
    try:
        file.write_text(f"{whole}\nundefined_name\n")
        expect(banner).to_contain_text("NameError")
        expect(banner).to_contain_text("at main.py:")
        expect(banner).to_contain_text("the last good one, goes on serving")
        banner.get_by_text("Where it happened").click()
        expect(banner.locator("pre")).to_contain_text("undefined_name")
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme)
            assert problems(page) == []
        trigger(page, "Grace")
        expect(banner).to_be_visible()
    finally:
        file.write_text(whole)
    expect(banner).to_have_count(0)
