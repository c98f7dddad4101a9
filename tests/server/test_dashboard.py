"""The page at `/`: its files, what they may do, and that nothing of the API moved for them."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import httpx
import pytest

from strait.server.dashboard.files import PREFIX, STATIC, Files
from strait.server.dashboard.pages import PAGES
from support.handlers import Handlers
from support.world import World, world

pytestmark = pytest.mark.e2e

MOST_BYTES = 150_000
MOST_LINES = 500
FILES = sorted(path for path in STATIC.rglob("*") if path.is_file())


def _browser(world: World) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=world.server.base_url, headers={"Accept": "text/html"})


@pytest.mark.parametrize("path", ["/", "/runs", "/runs/run_1", "/settings/", "/workflow-runs/a"])
async def test_every_address_of_the_page_answers_with_the_page(world: World, path: str) -> None:
    async with _browser(world) as browser:
        answer = await browser.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert '<base href="/">' in answer.text


async def test_the_page_may_load_nothing_from_elsewhere_and_nothing_inline(world: World) -> None:
    async with _browser(world) as browser:
        answer = await browser.get("/")
    rules = dict(
        rule.strip().split(" ", 1) for rule in answer.headers["content-security-policy"].split(";")
    )
    assert rules["default-src"] == rules["frame-ancestors"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(STATIC).as_posix())
def test_a_file_is_short_and_names_no_other_site(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) < MOST_LINES
    elsewhere = re.findall(r"https?://[\w.-]+", text)
    assert set(elsewhere) <= {"http://www.w3.org", "https://example.com"}, elsewhere
    # The policy of the page would refuse them, and say so only in the browser.
    assert " style=" not in text
    assert "innerHTML" not in text
    assert "eval(" not in text


def test_all_of_the_page_is_small() -> None:
    size = sum(len(gzip.compress(path.read_bytes(), 9)) for path in FILES)
    assert size < MOST_BYTES


async def test_a_file_is_kept_for_ever_under_an_address_that_changes_with_it(world: World) -> None:
    name = f"{PREFIX}{Files().version}/js/app.js"
    async with _browser(world) as browser:
        first = await browser.get(name)
        again = await browser.get(name, headers={"If-None-Match": first.headers["etag"]})
        older = await browser.get(f"{PREFIX}0000000000000000/js/app.js")
    assert first.headers["content-type"] == "text/javascript; charset=utf-8"
    assert first.headers["content-encoding"] == "gzip"
    assert "immutable" in first.headers["cache-control"]
    assert (again.status_code, again.content) == (304, b"")
    assert older.headers["cache-control"] == "no-cache"
    assert older.text == first.text


async def test_who_takes_no_gzip_gets_none(world: World) -> None:
    async with _browser(world) as browser:
        name = f"{PREFIX}{Files().version}/css/theme.css"
        answer = await browser.get(name, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in answer.headers
    assert answer.content == (STATIC / "css/theme.css").read_bytes()


@pytest.mark.parametrize(
    "name", ["x/js/none.js", "x/../pages.py", "x/%2e%2e/pages.py", "x/index.html", "", "x/"]
)
async def test_only_files_of_the_page_are_served(world: World, name: str) -> None:
    async with _browser(world) as browser:
        answer = await browser.get(PREFIX + name)
    assert answer.status_code == 404


async def test_a_version_stands_for_the_content_of_all_files(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("{{root}} {{version}}")
    (tmp_path / "a.js").write_text("1")
    before = Files(tmp_path).version
    (tmp_path / "a.js").write_text("2")
    assert Files(tmp_path).version != before


async def test_the_page_stands_below_the_prefix_of_a_proxy(handlers: Handlers) -> None:
    async with world(handlers, root_path="/strait") as made, _browser(made) as browser:
        kept = await browser.get("/strait/runs")
        taken_off = await browser.get("/runs")
    for answer in (kept, taken_off):
        assert '<base href="/strait/">' in answer.text


async def test_the_page_stands_below_the_prefix_that_a_proxy_tells(world: World) -> None:
    async with _browser(world) as browser:
        for path in ("/runs", "/a/b/runs"):
            answer = await browser.get(path, headers={"X-Forwarded-Prefix": "/a/b/"})
            assert '<base href="/a/b/">' in answer.text
        assert "x-forwarded-prefix" in answer.headers["vary"]
        for told in (
            "//evil.example",
            "/a/../b",
            "https://evil.example",
            '/"><b>',
            "/a b",
            "/",
            "",
        ):
            answer = await browser.get("/runs", headers={"X-Forwarded-Prefix": told})
            assert '<base href="/">' in answer.text, told


async def test_the_api_stays_where_it_is(world: World) -> None:
    async with _browser(world) as browser:
        asked = await browser.get("/v1/jobs", headers={"Accept": "*/*"})
        health = await browser.get("/health")
        unknown = await browser.get("/unknown")
        posted = await browser.post("/runs")
    assert asked.json()["error"]["code"] == "authentication_required"
    assert health.json()["status"] == "ok"
    assert unknown.text == posted.text == "404 page not found\n"
    assert not {"v1", "sdk", "health", "metrics", "reference", "schemas", "api"} & PAGES
