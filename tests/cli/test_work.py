"""Jobs, runs, workflows, events, schedules, secrets and dead letters, on a running platform."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from strait.cli.many import each
from strait.cli.watching import follow
from strait.client import Client
from strait.client.middleware import Middleware, MiddlewareRequestContext
from strait.errors import map_http_error
from strait.services.workflow_runs import WorkflowRunsService
from strait.testing import load_run

from .shop import Shop, shop_at

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with shop_at(tmp_path_factory.mktemp("shop")) as made:
        yield made


# ------------------------------------------------------------------------------------------ trigger


def test_a_run_is_triggered_and_waited_for(shop: Shop) -> None:
    done = shop.run("trigger", "greet", "name=Ada", "--wait")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout[done.stdout.index("{") :]) == {"text": "hello Ada"}
    assert "executing → completed" in done.stdout
    assert "half of it" in done.stdout
    assert "\x1b" not in done.stdout, "what a run says does not steer the terminal"


def test_with_json_there_is_the_run_and_nothing_else(shop: Shop) -> None:
    ended = shop.json("trigger", "greet", "name=Ada", "--wait")
    assert (ended["status"], ended["result"]) == ("completed", {"text": "hello Ada"})
    assert set(shop.json("trigger", "greet", "name=Ada")) >= {"id", "status"}


@pytest.mark.parametrize("slug", ["refuse", "flaky"])
def test_a_run_that_fails_is_exit_code_1_and_its_error(shop: Shop, slug: str) -> None:
    code, line = shop.refused("trigger", slug, "--payload", "{}", "--wait")
    assert code == 1
    assert {"refuse": "no way", "flaky": "broken"}[slug] in line


def test_a_payload_is_json_a_file_the_standard_input_or_pairs(shop: Shop) -> None:
    (shop.directory / "p.json").write_text('{"name": "file"}')
    ways = {
        "argument": (("--payload", '{"name": "argument"}'), None),
        "file": (("--payload", "@p.json"), None),
        "stdin": (("--payload", "-"), '{"name": "stdin"}'),
        "pairs": (("name=pairs", "a.b:=[1]"), None),
    }
    for name, (words, stdin) in ways.items():
        ended = shop.json("trigger", "greet", *words, "--wait", stdin=stdin)
        assert ended["result"] == {"text": f"hello {name}"}
        if name == "pairs":
            assert ended["payload"] == {"name": "pairs", "a": {"b": [1]}}


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("trigger", "greeet"), 4, "did you mean `greet`?"),
        (("trigger", "greet", "--payload", "{"), 2, "`--payload` is no JSON"),
        (("trigger", "greet", "--payload", "[" * 100_000), 2, "`--payload` is no JSON"),
        (("trigger", "greet", "--payload", f"@{sys.executable}"), 2, "is no JSON"),
        (("trigger", "greet", "--payload", "@gone.json"), 1, "`gone.json`"),
        (("trigger", "greet", "name"), 2, "'name' is no `key=value`"),
        (("trigger", "greet", "a:=x"), 2, "is no JSON"),
        (("trigger", "greet", "a=1", "--payload", "{}"), 2, "both given"),
        (("trigger", "greet", "--delay", "soon"), 2, "90s, 5m, 12h or 30d"),
        (("trigger", "greet", "--tag", "x"), 2, "team=web"),
        (("trigger", "order", "--priority", "3"), 2, "`order` is a workflow"),
        (("trigger",), 2, "see `strait trigger --help`"),
        (("runs", "show", "nothing"), 4, "`strait runs list`"),
        (("runs", "list", "--status", "gone"), 2, "it is one of delayed, queued"),
        (("runs", "list", "--job", "gone"), 4, "`strait jobs list` shows all"),
        (("runs", "cancel"), 2, "name runs, or say --all"),
        (("runs", "replay", "x", "--status", "failed"), 2, "name runs, or say which"),
        (("runs", "purge"), 2, "say which runs"),
        (("runs", "purge", "x", "--yes"), 3, "is in use by process"),
        (("workflows", "show", "ordr"), 4, "did you mean `order`?"),
        (("schedules", "next", "refuse"), 4, "`refuse` has no schedule"),
        (("events", "send", "nobody:waits"), 4, "not found"),
        (("secrets", "delete", "NONE", "--yes"), 4, "`strait secrets list` shows all"),
        (("dlq", "replay"), 2, "name runs, or say --all"),
        (("jobs", "lst"), 2, "no such command 'lst'"),
        (("jobs", "list", "--limit", "x"), 2, "see `strait jobs list --help`"),
        (("jobs", "list", "--api-key", "wrong", "--base-url", "HERE"), 5, "STRAIT_API_KEY"),
        (("jobs", "list", "--base-url", "http://127.0.0.1:9", "--api-key", "k"), 6, "strait dev"),
        (("jobs", "list", "--base-url", "https://x.test"), 5, "there is no key"),
        (("jobs", "list", "--base-url", "x.test"), 2, "must be an http(s) address"),
        (("jobs", "list", "--profile", "prod"), 2, "config file not found"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_one_line_and_one_exit_code(
    shop: Shop, words: tuple[str, ...], code: int, told: str
) -> None:
    here = [shop.platform.base_url if word == "HERE" else word for word in words]
    found, line = shop.refused(*here)
    assert told in line
    assert found == code, line


# --------------------------------------------------------------------------------------------- runs


def test_runs_are_listed_by_job_and_status(shop: Shop) -> None:
    failed = shop.run("trigger", "refuse", "--payload", "{}", "--wait", "--json")
    run = json.loads(failed.stdout)
    (listed,) = shop.json("runs", "list", "--job", "refuse", "--limit", "1")
    assert listed["id"] == run["id"]
    assert {one["status"] for one in shop.json("runs", "list", "--status", run["status"])} == {
        run["status"]
    }
    table = shop.done("runs", "list", "--job", "refuse", "--since", "5m").splitlines()
    assert table[0].split() == ["run", "job", "status", "attempt", "created", "took", "error"]
    assert table[1].split()[:3] == [run["id"], "refuse", run["status"]]


def test_a_run_is_shown_with_its_payload_and_result(shop: Shop) -> None:
    run = shop.json("trigger", "greet", "name=Ada", "--wait")
    assert shop.json("runs", "show", run["id"]) == run
    shown = shop.done("runs", "show", run["id"])
    assert "status" in shown
    assert '"name": "Ada"' in shown
    assert '"text": "hello Ada"' in shown


def test_a_run_that_waits_is_watched_to_its_end(shop: Shop) -> None:
    run = shop.json("trigger", "patient", "event=watched")
    code, line = shop.refused("runs", "watch", run["id"], "--timeout", "0.3")
    assert (code, "has not ended within 0.3 s" in line) == (124, True)
    shop.done("events", "send", "watched", "by=Ada")
    watched = shop.done("runs", "watch", run["id"])
    assert "executing → waiting" in watched
    assert watched.splitlines()[-1].startswith(f"run {run['id']}: completed")
    *events, ended = map(json.loads, shop.done("runs", "watch", run["id"], "--json").splitlines())
    assert [one["to"] for one in events if one["type"] == "status_change"][-1] == "completed"
    assert ended["result"] == {"got": {"by": "Ada"}}


class WaitsError(Exception):
    """Raised where a run is followed until it waits."""


def test_what_happens_between_a_look_at_the_history_and_one_at_the_run_is_told(
    shop: Shop,
) -> None:
    run = shop.json("trigger", "patient", "event=between")
    looks: list[str] = []
    told: list[Any] = []

    def end_it(request: MiddlewareRequestContext) -> None:
        if looks and request.url.endswith(f"/runs/{run['id']}"):
            looks.clear()
            shop.done("events", "send", "between", "by=Ada")
            shop.done("runs", "watch", run["id"])

    def until_it_waits(event: Any) -> None:
        if event.get("to") == "waiting":
            raise WaitsError

    with Client(
        base_url=shop.platform.base_url,
        api_key=shop.platform.ready["api_key"],
        response_format="dict",
        middleware=[Middleware(on_request=end_it)],
    ) as client:
        with pytest.raises(WaitsError):
            follow(client, "run", run["id"], until_it_waits, 30)
        looks.append("one")
        assert follow(client, "run", run["id"], told.append, 30)["status"] == "completed"
    assert told[-1]["to"] == "completed"


def test_logs_are_shown_from_a_level_on(shop: Shop) -> None:
    run = shop.json("trigger", "greet", "name=Ada", "--wait")
    logs = shop.done("runs", "logs", run["id"]).splitlines()
    assert [line.split()[1:] for line in logs] == [
        ["info", "greeting", "Ada"],
        ["warn", "[31mred"],
    ]
    (only,) = shop.done("runs", "logs", run["id"], "-f", "--level", "warn", "--json").splitlines()
    assert json.loads(only)["level"] in {"warn", "warning"}


def test_runs_are_canceled_by_name_and_all_of_a_job(shop: Shop) -> None:
    first, second = (shop.json("trigger", "patient", f"event=c{n}")["id"] for n in range(2))
    assert "canceled" in shop.done("runs", "cancel", first)
    code, line = shop.refused("runs", "cancel", first)
    assert code in {1, 3}, line
    code, line = shop.refused("runs", "cancel", "--all", "--job", "patient")
    assert (code, line.endswith("say `--yes` to do it")) == (2, True)
    told = shop.json("runs", "cancel", "--all", "--job", "patient", "--yes")
    assert [one["id"] for one in told["canceled"]] == [second]
    result = shop.run("runs", "cancel", first, second)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("strait: 2 runs could not be canceled")


def test_a_run_is_replayed_and_waited_for(shop: Shop) -> None:
    run = shop.json("trigger", "greet", "name=again", "--wait")
    ended = shop.json("runs", "replay", run["id"], "--wait")
    assert (ended["result"], ended["id"] != run["id"]) == ({"text": "hello again"}, True)
    told = shop.json("runs", "replay", run["id"])
    assert [one["status"] for one in told["replayed"]] == ["queued"]


# --------------------------------------------------------------------------------------------- jobs


def test_jobs_are_listed_shown_and_switched(shop: Shop) -> None:
    slugs = {one["slug"] for one in shop.json("jobs", "list")}
    assert slugs == {"greet", "refuse", "flaky", "patient"}
    assert shop.json("jobs", "show", "greet")["cron"] == "0 9 * * 1"
    by_id = shop.json("jobs", "show", shop.json("jobs", "show", "greet")["id"])
    assert by_id["slug"] == "greet"
    for word, state in (
        ("pause", "paused"),
        ("resume", "enabled"),
        ("disable", "disabled"),
        ("enable", "enabled"),
    ):
        assert "job `refuse` is" in shop.done("jobs", word, "refuse")
        rows = {line.split()[0]: line.split()[1] for line in shop.done("jobs", "list").splitlines()}
        assert rows["refuse"] == state
        if word == "pause":
            assert shop.refused("trigger", "refuse", "--payload", "{}")[0] == 3
    assert shop.json("jobs", "health", "greet")["window"] == "7d"


# ---------------------------------------------------------------------------------------- workflows


def test_a_workflow_is_triggered_approved_and_followed(shop: Shop) -> None:
    run = shop.json("workflows", "trigger", "order", "name=Ada")
    code, _ = shop.refused("runs", "watch", run["id"], "--timeout", "0.2")
    assert code == 124
    shop.done("workflows", "approve", run["id"])
    watched = shop.done("runs", "watch", run["id"])
    assert "step greet  completed" in watched
    shown = shop.json("runs", "show", run["id"])
    assert [step["step_ref"] for step in shown["steps"]] == ["review", "greet"]
    assert run["id"] in shop.done("workflows", "runs", "order", "--status", "completed")
    assert shop.refused("workflows", "approve", run["id"])[0] == 3
    assert "review" in shop.done("workflows", "show", "order")
    assert [one["slug"] for one in shop.json("workflows", "list")] == ["order"]


@pytest.mark.parametrize("ends", ["failed", "canceled"], ids=["embedded", "hosted"])
def test_a_rejected_approval_ends_the_run_before_the_next_step(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    if ends == "canceled":

        def unknown(*_: object) -> None:
            raise map_http_error(404, "404 page not found")

        monkeypatch.setattr(WorkflowRunsService, "reject_step", unknown)
    run = shop.json("trigger", "order", "name=Ada")
    with pytest.raises(AssertionError, match="has not ended"):
        shop.done("runs", "watch", run["id"], "--timeout", "0.2")
    shop.done("workflows", "reject", run["id"], "--reason", "too dear")
    shown = shop.json("runs", "show", run["id"])
    assert shown["status"] == ends
    assert {step["step_ref"]: step["status"] for step in shown["steps"]}["greet"] != "completed"


# ----------------------------------------------------------------- events, schedules, secrets, dlq


def test_what_waits_for_an_event_is_listed(shop: Shop) -> None:
    run = shop.json("trigger", "patient", "event=listed")
    shop.refused("runs", "watch", run["id"], "--timeout", "0.3")
    waiting = shop.json("events", "list", "--status", "waiting")
    assert [one["job_run_id"] for one in waiting if one["event_key"] == "listed"] == [run["id"]]
    assert "listed" in shop.done("events", "list")
    shop.done("runs", "cancel", run["id"])


def test_schedules_are_listed_with_their_next_times(shop: Shop) -> None:
    rows = {one["slug"]: one for one in shop.json("schedules", "list")}
    assert {slug: one["kind"] for slug, one in rows.items()} == {
        "greet": "job",
        "order": "workflow",
    }
    times = shop.json("schedules", "next", "greet", "--count", "3")["times"]
    assert len(times) == 3
    assert {time[11:] for time in times} == {"09:00:00+00:00"}
    for slug in ("greet", "order"):
        shop.done("schedules", "pause", slug)
        (row,) = [one for one in shop.json("schedules", "list") if one["slug"] == slug]
        assert (row["state"] in {"paused", "disabled"}, row["next"]) == (True, None)
        shop.done("schedules", "resume", slug)
    assert "enabled" in shop.done("schedules", "list")


def test_a_secret_comes_from_the_standard_input_and_never_out_again(shop: Shop) -> None:
    told = shop.done("secrets", "set", "STRIPE_KEY", "--job", "greet", stdin="sk-12345\n")
    assert told.startswith("secret STRIPE_KEY is set")
    listed = shop.run("secrets", "list", "--json")
    assert "STRIPE_KEY" in listed.output
    assert "sk-12345" not in told + listed.output
    assert "greet" in shop.done("secrets", "list")
    shop.done("secrets", "delete", "STRIPE_KEY", "--yes")
    assert shop.json("secrets", "list") == []
    assert shop.refused("secrets", "set", "EMPTY", stdin="")[0] == 2


@pytest.mark.parametrize("group", ["dlq replay", "dlq purge", "runs cancel"])
def test_nobody_is_asked_about_nothing(shop: Shop, group: str) -> None:
    assert " 0 " in f" {shop.done(*group.split(), '--all', '--job', 'refuse')}"


def test_dead_letters_are_listed_replayed_and_purged(shop: Shop) -> None:
    ran = shop.run("trigger", "flaky", "--payload", "{}", "--wait", "--json")
    letter = json.loads(ran.stdout)
    assert letter["status"] == "dead_letter"
    assert letter["id"] in shop.done("dlq", "list", "--job", "flaky")
    (replayed,) = shop.json("dlq", "replay", letter["id"])["replayed"]
    shop.refused("runs", "watch", replayed["id"])
    letters = {one["id"] for one in shop.json("dlq", "list")}
    assert shop.refused("dlq", "purge", *letters)[0] == 2, "nobody can be asked"
    assert set(shop.json("dlq", "purge", "--all", "--yes")["purged"]) == letters
    assert "no dead letters" in shop.done("dlq", "list")


def test_one_dead_letter_that_is_none_holds_up_no_other(shop: Shop) -> None:
    def letter() -> str:
        ran = shop.run("trigger", "flaky", "--payload", "{}", "--wait", "--json")
        return str(json.loads(ran.stdout)["id"])

    first, second = letter(), letter()
    result = shop.run("dlq", "purge", "nowhere", first, "--yes")
    assert "1 run purged" in result.stdout + result.stderr
    assert "nowhere" in result.stderr
    assert [one["id"] for one in shop.json("dlq", "list")] == [second]
    result = shop.run("dlq", "replay", "nowhere", second, "--json")
    told = json.loads(result.stdout)
    assert [(one["id"], one["status"]) for one in told["replayed"]] == [(second, "queued")]
    assert [one["id"] for one in told["failed"]] == ["nowhere"]
    assert result.exit_code == 1
    assert "strait: 1 run could not be replayed" in result.stderr


def test_what_was_done_before_the_end_came_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def act(run_id: str) -> dict[str, str]:
        if run_id == "third":
            raise KeyboardInterrupt
        return {"id": run_id, "status": "queued"}

    with pytest.raises(KeyboardInterrupt):
        each(("replay", "replayed"), ["first", "second", "third"], act, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert [one["id"] for one in told["replayed"]] == ["first", "second"]


# --------------------------------------------------------------------------------------- completion


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("strait trigger gr", ["greet"]),
        ("strait trigger or", ["order"]),
        ("strait runs list --job pa", ["patient"]),
        ("strait workflows show ", ["order"]),
        ("strait ru", ["runs"]),
        ("strait runs rep", ["replay"]),
        ("strait runs logs --lev", ["--level"]),
    ],
)
def test_commands_options_and_slugs_are_completed(
    shop: Shop, words: str, completed: list[str]
) -> None:
    *_, last = words.split(" ")
    result = shop.run(
        _STRAIT_COMPLETE="bash_complete",
        COMP_WORDS=words,
        COMP_CWORD=str(words.count(" ")),
    )
    assert [line.partition(",")[2] for line in result.stdout.splitlines()] == completed, last


def test_without_a_platform_slugs_are_not_completed(tmp_path: Path) -> None:
    words = {"COMP_WORDS": "strait trigger gr", "COMP_CWORD": "2"}
    result = Shop(tmp_path, None).run(_STRAIT_COMPLETE="bash_complete", **words)
    assert (result.exit_code, result.output.strip()) == (0, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shop: Shop, shell: str) -> None:
    assert f"_STRAIT_COMPLETE={shell}_complete" in shop.done("completion", shell)


# ------------------------------------------------------------------------------------------- places


def test_without_a_platform_the_line_says_how_to_start_one(shop: Shop, tmp_path: Path) -> None:
    elsewhere = Shop(tmp_path, shop.platform)
    code, line = elsewhere.refused("jobs", "list")
    assert (code, "`strait dev`" in line) == (6, True)


def test_flags_win_over_the_environment_which_wins_over_the_file(
    shop: Shop, tmp_path: Path
) -> None:
    elsewhere = Shop(tmp_path, shop.platform)
    key, url = shop.platform.ready["api_key"], shop.platform.base_url
    (tmp_path / "strait.json").write_text(
        json.dumps(
            {
                "sdk": {"base_url": "http://127.0.0.1:9"},
                "environments": {"here": {"base_url": url, "api_key_env": "HERE_KEY"}},
            }
        )
    )
    assert elsewhere.refused("jobs", "list", STRAIT_API_KEY=key)[0] == 6
    elsewhere.done("jobs", "list", STRAIT_API_KEY=key, STRAIT_BASE_URL=url)
    elsewhere.done("jobs", "list", "--base-url", url, STRAIT_API_KEY=key)
    elsewhere.done("jobs", "list", "--profile", "here", HERE_KEY=key, STRAIT_API_KEY="other")
    assert elsewhere.refused("jobs", "list", "--profile", "here")[0] == 2
    # The address of the platform of the directory has its key with it.
    shop.done("jobs", "list", "--base-url", url.replace("127.0.0.1", "localhost"))


def test_a_run_is_taken_away_as_a_page_and_as_a_document(shop: Shop) -> None:
    ended = shop.json("trigger", "greet", "name=Ada", "--wait")
    assert shop.run("runs", "export", ended["id"], "--out", "new/run.html").exit_code == 0
    page = (shop.directory / "new" / "run.html").read_text("utf-8")
    assert page.lower().startswith("<!doctype html>")
    assert ended["id"] in page
    assert "<script" not in page
    document = shop.json("runs", "export", ended["id"], "--redact", "name")
    assert "Ada" not in json.dumps(document["run"]["payload"])


def test_a_run_is_taken_away_as_a_fixture_that_says_what_it_lacks(shop: Shop) -> None:
    ended = shop.json("trigger", "greet", "name=Ada", "--wait")
    done = shop.run(
        "runs", "export", ended["id"], "--fixture", "--out", "run.json", "--redact", "name"
    )
    assert done.exit_code == 0
    assert "hidden, and so missing in a replay: payload: name" in done.output
    recorded = load_run(shop.directory / "run.json")
    assert (recorded.run_id, recorded.job_slug) == (ended["id"], "greet")
    assert recorded.target == "shop:greet_job", "`strait dev` has told it"
    found = shop.json("runs", "export", ended["id"], "--fixture", "--app", "shop:greet")
    assert (found["job"]["target"], found["payload"]) == ("shop:greet", {"name": "Ada"})
    assert shop.refused("runs", "export", ended["id"], "--app", "shop:greet")[0] == 2
