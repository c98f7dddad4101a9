"""`strait doctor`: each thing that it looks at, as it is and as it may be wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from .shop import Shop, shop_at

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with shop_at(tmp_path_factory.mktemp("shop")) as made:
        yield made


def looked(shop: Shop, *words: str, **variables: str) -> dict[str, dict[str, str]]:
    """What it finds, by the name of the thing; the worst where there are several."""
    import json

    result = shop.run("doctor", *words, "--json", **variables)
    told = json.loads(result.stdout)
    assert told["ok"] == (result.exit_code == 0)
    found: dict[str, dict[str, str]] = {}
    for one in told["checks"]:
        if one["state"] != "ok" or one["name"] not in found:
            found[one["name"]] = one
        assert bool(one["advice"]) == (one["state"] != "ok"), one
    return found


def test_a_platform_that_runs_is_well(shop: Shop) -> None:
    found = looked(shop)
    assert {name for name, one in found.items() if one["state"] == "fail"} == set()
    for name in ("strait", "sqlite", "extras", "database", "disk", "settings", "clock"):
        assert found[name]["state"] == "ok", found[name]
    # A machine with much to do answers slowly, which is told.
    assert found["platform"]["text"].startswith("ok, version ")
    assert "scopes" in found["key"]["text"]
    assert "(4 jobs)" in found["handlers"]["text"]
    key = shop.platform.ready["api_key"]
    assert key not in shop.done("doctor")
    assert shop.done("doctor").startswith("ok    strait      ")


def test_a_platform_that_answers_and_cannot_write_fails(tmp_path: Path) -> None:
    with (
        shop_at(tmp_path) as shop,
        closing(sqlite3.connect(tmp_path / ".strait" / "dev.db", isolation_level=None)) as stranger,
    ):
        stranger.execute("BEGIN IMMEDIATE")
        assert shop.run("jobs", "pause", "greet").exit_code != 0
        found = looked(shop)["platform"]
        assert found["state"] == "fail"
        assert "not ready: " in found["text"]
        assert "another process has locked the database" in found["text"]
        stranger.execute("ROLLBACK")
        shop.done("jobs", "pause", "greet")
        assert looked(shop)["platform"]["state"] != "fail"


def test_without_a_platform_it_says_how_to_start_one(tmp_path: Path) -> None:
    found = looked(Shop(tmp_path, None))
    assert found["platform"]["state"] == "warn"
    assert "strait dev" in found["platform"]["advice"]
    assert "is not there yet" in found["database"]["text"]


def test_what_is_wrong_with_the_settings_or_the_platform_fails(shop: Shop, tmp_path: Path) -> None:
    elsewhere = Shop(tmp_path, None)
    wrong = looked(elsewhere, STRAIT_BASE_URL="nowhere")
    assert wrong["settings"]["state"] == "fail"
    gone = looked(elsewhere, STRAIT_BASE_URL="http://127.0.0.1:9", STRAIT_API_KEY="k")
    assert gone["platform"]["state"] == "fail"
    url = shop.platform.base_url
    refused = looked(elsewhere, STRAIT_BASE_URL=url, STRAIT_API_KEY="wrong")
    assert (refused["key"]["state"], "wrong" in refused["key"]["text"]) == ("fail", False)
    assert looked(elsewhere, STRAIT_BASE_URL=url)["key"]["state"] == "fail"


def test_a_key_that_others_can_read_and_a_broken_database_fail(tmp_path: Path) -> None:
    here = Shop(tmp_path, None)
    (tmp_path / ".strait").mkdir()
    (tmp_path / ".strait" / "dev.db").write_bytes(b"no database" * 100)
    assert "cannot be read" in looked(here)["database"]["text"]
    key = tmp_path / ".strait" / "dev.db.key"
    key.write_text("{}")
    key.chmod(0o644)
    assert looked(here)["database"]["advice"] == f"`chmod 600 {Path('.strait/dev.db.key')}`"


def test_a_database_of_a_newer_release_fails(tmp_path: Path) -> None:
    (tmp_path / ".strait").mkdir()
    with closing(sqlite3.connect(tmp_path / ".strait" / "dev.db")) as db:
        db.execute("PRAGMA user_version=9000")
    found = looked(Shop(tmp_path, None))["database"]
    assert found["state"] == "fail"
    assert "schema 9000, which a newer release wrote" in found["text"]


def test_handlers_that_cannot_be_reached_are_told(shop: Shop) -> None:
    away = "http://127.0.0.1:9"
    job = shop.json("jobs", "show", "flaky")
    from strait import Client

    with Client(base_url=shop.platform.base_url, api_key=shop.platform.ready["api_key"]) as client:
        client.jobs.update(job["id"], endpoint_url=f"{away}/jobs/flaky")
        found = looked(shop)["handlers"]
        client.jobs.update(job["id"], endpoint_url=job["endpoint_url"])
    assert (found["state"], f"{away} (1 job) cannot be reached" in found["text"]) == ("warn", True)
