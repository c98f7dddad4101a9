"""`strait deploy`: checked, planned, shown with who is under way, applied."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from .processes import running
from .shop import TARGET, Shop

pytestmark = pytest.mark.e2e

HANDLERS = ("--handlers", "https://handlers.test")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    directory = tmp_path_factory.mktemp("platform")
    with running("serve", "--port", "0", "--json", cwd=directory) as served:
        yield Shop(directory, served)


def written(shop: Shop, name: str, text: str) -> str:
    (shop.directory / f"{name}.py").write_text(text)
    return f"{name}.py"


def test_a_target_is_planned_deployed_and_then_as_it_is(platform: Shop) -> None:
    target = written(platform, "first", TARGET)
    planned = platform.json("deploy", target, "--plan", *HANDLERS)
    assert {one["action"] for one in planned["definitions"]} == {"create"}
    assert planned["done"] is False
    assert platform.json("jobs", "list") == []

    assert platform.refused("deploy", target, *HANDLERS)[0] == 2, "nobody can be asked"
    told = platform.done("deploy", target, *HANDLERS, "--yes")
    assert "+ job greet" in told
    assert "+ workflow order" in told
    assert told.splitlines()[-1] == "deployed"
    assert platform.json("jobs", "show", "greet")["endpoint_url"].startswith(
        "https://handlers.test"
    )
    again = platform.done("deploy", target, *HANDLERS)
    assert again.splitlines()[-1] == "nothing to do"


def test_who_has_not_ended_is_listed_by_version_before_a_change(platform: Shop) -> None:
    target = written(platform, "second", TARGET)
    platform.done("deploy", target, *HANDLERS, "--yes")
    for _ in range(2):
        platform.json("trigger", "greet", "name=later", "--delay", "1h")
    platform.json("trigger", "order", "name=Ada")
    before = platform.json("jobs", "show", "greet")["version"]

    changed = written(
        platform, "third", TARGET.replace('slug="greet", run', 'slug="greet", timeout_secs=90, run')
    )
    planned = platform.json("deploy", changed, "--plan", *HANDLERS)
    (change,) = [one for one in planned["definitions"] if one["action"] != "keep"]
    assert (change["slug"], change["changes"][0]["field"]) == ("greet", "timeout_secs")
    met = {(one["kind"], one["slug"]): one for one in planned["under_way"]}
    assert met["job", "greet"] == {
        "kind": "job", "slug": "greet", "version": before, "status": "delayed", "runs": 2
    }  # fmt: skip
    assert met["workflow", "order"]["runs"] == 1
    told = platform.done("deploy", changed, *HANDLERS, "--plan")
    assert "~ job greet\n    timeout_secs: 300 -> 90" in told
    assert f"greet  v{before}" in told


def test_a_step_that_names_no_job_is_told_and_nothing_is_deployed(platform: Shop) -> None:
    broken = TARGET.replace('job_step("greet", "greet"', 'job_step("greet", "grete"')
    target = written(platform, "broken", broken)
    before = platform.json("workflows", "list")
    code, line = platform.refused("deploy", target, *HANDLERS, "--yes")
    assert (code, "`job_id` names 'grete'" in line) == (2, True)
    assert platform.json("workflows", "list") == before


def test_what_has_handlers_needs_their_address(platform: Shop) -> None:
    target = written(platform, "fourth", TARGET)
    code, line = platform.refused("deploy", target)
    assert (code, "--handlers URL" in line) == (2, True)
    assert platform.refused("deploy", target, "--handlers", "here")[0] == 2
    assert platform.refused("deploy", "gone.py", *HANDLERS)[0] == 1


def test_a_signing_secret_is_sent_and_never_shown(platform: Shop) -> None:
    target = written(platform, "fifth", TARGET)
    words = ("deploy", target, *HANDLERS, "--yes")
    done = platform.run(*words, STRAIT_SIGNING_SECRET="s3cret-of-handlers")
    assert done.exit_code == 0, done.output
    assert "s3cret" not in done.output
    assert "sent again" in done.output
    told = platform.run(*words, "--json", STRAIT_SIGNING_SECRET="s3cret-of-handlers")
    assert "s3cret" not in told.output
    assert json.loads(told.stdout)["done"] is True


def test_what_a_platform_elsewhere_cannot_do_is_not_deployed(
    platform: Shop, tmp_path: Path
) -> None:
    (tmp_path / "flow.py").write_text(TARGET)
    elsewhere = Shop(tmp_path, platform.platform)
    where = ("--base-url", platform.platform.base_url, "--project", "proj_local")
    result = elsewhere.run(
        "deploy", "flow.py", *HANDLERS, *where, "--plan",
        STRAIT_API_KEY=platform.platform.ready["api_key"],
    )  # fmt: skip
    assert result.exit_code == 1
    assert "`ctx.wait_for_event` is broken" in result.stdout
    last = result.stderr.splitlines()[-1]
    assert last.startswith("strait: 2 problems found, nothing was deployed")
    key = {"STRAIT_API_KEY": platform.platform.ready["api_key"]}
    words = ("deploy", "flow.py", *HANDLERS, *where, "--plan", "--target", "embedded")
    assert elsewhere.done(*words, **key).startswith(f"to {platform.platform.base_url}")
