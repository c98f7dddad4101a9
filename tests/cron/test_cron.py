"""Cron: the grammar, the days, and what clocks do twice a year."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strait.cron import (
    CronError,
    last_fire,
    matches,
    next_fire,
    validate_job_cron,
    validate_timezone,
    validate_workflow_cron,
)

MINUTE = 60_000_000


def us(text, tz="UTC", fold=0):
    moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(tz), fold=fold)
    return round(moment.timestamp()) * 1_000_000


def fire(expr, after, tz=""):
    instant = next_fire(expr, tz, us(after, tz or "UTC"))
    assert instant is not None
    local = datetime.fromtimestamp(instant / 1e6, ZoneInfo(tz or "UTC"))
    return local.replace(tzinfo=None).isoformat(timespec="minutes")


# --------------------------------------------------------------------------------------- grammar


@pytest.mark.parametrize(
    "expr",
    [
        "* * * * *",
        "*/5 0-23/2 ? * ?",
        "0,30 9-17 1,15 jan-mar,DEC Mon-Fri",
        "5/15 * * * *",
        "0 0 1-31/10 * 0",
        " 0  0 * * 6 ",
    ],
)
def test_five_fields_of_the_grammar_are_accepted(expr):
    assert validate_job_cron(expr) is None
    assert validate_workflow_cron(expr) is None


@pytest.mark.parametrize(
    "expr",
    [
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * 0 *",
        "* * * * 7",
        "*/0 * * * *",
        "5-1 * * * *",
        "1-2-3 * * * *",
        "*/2/2 * * * *",
        "*-5 * * * *",
        "a * * * *",
        "-1 * * * *",
        "1, * * * *",
        "* * L * *",
        "* * * * 1#2",
        "* * * mon *",
        "+1 * * * *",
        "\u0661 * * * *",
        "99999999999999999999 * * * *",
    ],
)
def test_what_is_not_in_the_grammar_is_refused(expr):
    for validate in (validate_job_cron, validate_workflow_cron):
        with pytest.raises(CronError) as caught:
            validate(expr)
        assert str(caught.value) == "invalid cron expression"
        assert caught.value.detail


@pytest.mark.parametrize(
    ("expr", "count"), [("", 0), ("* * * *", 4), ("0 * * * * *", 6), ("@daily", 1)]
)
def test_a_job_wants_exactly_five_fields(expr, count):
    with pytest.raises(CronError) as caught:
        validate_job_cron(expr)
    assert str(caught.value) == (
        "cron expression must have exactly 5 fields "
        f"(minute hour day-of-month month day-of-week), got {count}"
    )


@pytest.mark.parametrize(
    "expr", ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"]
)
def test_a_workflow_may_use_a_descriptor(expr):
    assert validate_workflow_cron(expr) is None
    assert next_fire(expr, "", us("2026-01-01T00:00")) is not None


@pytest.mark.parametrize(
    "expr",
    [
        "@every",
        "@every ",
        "@every x",
        "@every 5",
        "@every 5y",
        "@Daily",
        "@reboot",
        "@every 1h-5m",
        "@every 99999999h",
    ],
)
def test_an_unknown_descriptor_or_duration_is_refused(expr):
    with pytest.raises(CronError, match="invalid cron expression"):
        validate_workflow_cron(expr)


@pytest.mark.parametrize(
    "tz", ["Mars/Base", "../etc/passwd", "/etc/localtime", "America", "Europe/ Berlin"]
)
def test_an_unknown_zone_is_refused_by_name(tz):
    with pytest.raises(CronError, match="invalid timezone") as caught:
        validate_timezone(tz)
    assert tz in caught.value.detail
    with pytest.raises(CronError, match="invalid timezone"):
        next_fire("* * * * *", tz, 0)


def test_known_zones_are_accepted():
    assert validate_timezone("") is None
    assert validate_timezone("Asia/Kolkata") is None


@given(st.text(alphabet="0123456789*?/-,LW#@monjan ", max_size=25))
def test_any_text_is_valid_or_refused(expr):
    try:
        validate_workflow_cron(expr)
    except CronError:
        return
    fires = next_fire(expr, "", us("2026-01-01T00:00"))
    assert fires is None or fires > us("2026-01-01T00:00")


# ------------------------------------------------------------------------------------------ days


@pytest.mark.parametrize(
    ("expr", "after", "expected"),
    [
        ("* * * * *", "2026-01-01T00:00", "2026-01-01T00:01"),
        ("0 0 13 * 5", "2026-01-01T00:00", "2026-01-02T00:00"),  # Friday, or the 13th
        ("0 0 13 * 5", "2026-01-09T00:00", "2026-01-13T00:00"),
        ("0 0 */2 * 1", "2026-01-01T00:00", "2026-01-03T00:00"),  # a step is a restriction
        ("0 0 * * 1", "2026-01-01T00:00", "2026-01-05T00:00"),
        ("0 0 13 * *", "2026-01-01T00:00", "2026-01-13T00:00"),
        ("0 0 29 2 *", "2026-01-01T00:00", "2028-02-29T00:00"),
        ("5/20 3 * * *", "2026-01-01T03:05", "2026-01-01T03:25"),
        ("0 0 ? jul ?", "2026-01-01T00:00", "2026-07-01T00:00"),
        ("0 12 * * SUN", "2026-01-01T00:00", "2026-01-04T12:00"),
    ],
)
def test_the_next_fire_is_the_next_minute_of_the_schedule(expr, after, expected):
    assert fire(expr, after) == expected


def test_a_fire_is_strictly_after_and_not_skipped():
    on_time = us("2026-01-01T00:01")
    assert next_fire("* * * * *", "", on_time - 1) == on_time
    assert next_fire("* * * * *", "", on_time) == on_time + MINUTE


@pytest.mark.parametrize("expr", ["0 0 30 2 *", "0 0 31 4,6,9,11 *"])
def test_a_day_that_never_comes_never_fires(expr):
    assert next_fire(expr, "", us("2026-01-01T00:00")) is None


@pytest.mark.parametrize(
    ("expr", "secs"),
    [("@every 1h30m", 5400), ("@every 1.5s", 1), ("@every 10ms", 1), ("@every .5h", 1800)],
)
def test_every_counts_whole_seconds_from_the_last_fire(expr, secs):
    after = us("2026-01-01T00:00")
    assert next_fire(expr, "", after + 250_000) == after + secs * 1_000_000


def test_a_window_holds_in_its_minutes():
    window = "* 9-17 * * mon-fri"
    assert matches(window, "Europe/Berlin", us("2026-01-05T09:00", "Europe/Berlin"))
    assert matches(window, "Europe/Berlin", us("2026-01-05T17:59", "Europe/Berlin") + 59_000_000)
    assert not matches(window, "Europe/Berlin", us("2026-01-05T18:00", "Europe/Berlin"))
    assert not matches(window, "Europe/Berlin", us("2026-01-04T12:00", "Europe/Berlin"))
    with pytest.raises(CronError):
        matches("@every 5m", "", 0)


# ---------------------------------------------------------------------- clocks that are set


def test_a_time_that_does_not_exist_fires_when_the_clock_is_there_again():
    assert fire("30 2 * * *", "2026-03-28T12:00", "Europe/Berlin") == "2026-03-29T03:00"
    assert fire("30 2 * * *", "2026-03-29T03:00", "Europe/Berlin") == "2026-03-30T02:30"


def test_a_time_that_comes_twice_fires_once():
    first = us("2026-10-25T02:30", "Europe/Berlin", fold=0)
    assert (
        next_fire("30 2 * * *", "Europe/Berlin", us("2026-10-25T00:00", "Europe/Berlin")) == first
    )
    assert fire("30 2 * * *", "2026-10-25T02:30", "Europe/Berlin") == "2026-10-26T02:30"
    in_second_hour = us("2026-10-25T02:10", "Europe/Berlin", fold=1)
    following = next_fire("30 2 * * *", "Europe/Berlin", in_second_hour)
    assert following == us("2026-10-26T02:30", "Europe/Berlin")


def test_schedules_by_the_minute_follow_the_time_that_passes():
    start = us("2026-10-25T00:00", "Europe/Berlin")
    instant, fires = start, 0
    while instant < start + 25 * 60 * MINUTE:
        following = next_fire("*/15 * * * *", "Europe/Berlin", instant)
        assert following == instant + 15 * MINUTE
        instant, fires = following, fires + 1
    assert fires == 100  # that day has 25 hours


ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour
    "Asia/Kolkata",
    "America/Sao_Paulo",  # at midnight
    "Pacific/Apia",  # left out a whole day
]
instants = st.integers(us("2009-01-01T00:00"), us("2030-01-01T00:00"))
stepped = st.sampled_from(["*/7", "*/15", "*/30", "*"])
hours = st.sampled_from(["*", "*/2", "0-3", "2", "1,2,3"])
day_fields = st.sampled_from(["* *", "*/2 *", "1 *", "? mon", "15 sun", "* 0-3"])


def _near_a_change(instant, zone):
    """Move an instant to two hours before the next change of the zone's offset, if one is near."""
    moment = datetime.fromtimestamp(instant // 1_000_000, UTC)
    offset = moment.astimezone(zone).utcoffset()
    for days in range(400):
        later = moment + timedelta(days=days)
        if later.astimezone(zone).utcoffset() != offset:
            return instant + (days - 1) * 24 * 60 * MINUTE
    return instant


@settings(max_examples=60, deadline=None)
@given(instants, st.sampled_from(ZONES), stepped, hours, day_fields, st.booleans())
def test_schedules_by_the_minute_fire_at_the_first_minute_that_matches(
    instant, tz, minute, hour, days, near
):
    day, weekday = days.split()
    expr = f"{minute} {hour} {day} * {weekday}"
    if near:
        instant = _near_a_change(instant, ZoneInfo(tz))
    fires = next_fire(expr, tz, instant)
    assert fires is not None
    assert fires > instant
    assert matches(expr, tz, fires)
    candidate = instant - instant % MINUTE + MINUTE
    limit = min(fires, candidate + 3 * 24 * 60 * MINUTE)
    while candidate < limit:
        assert not matches(expr, tz, candidate)
        candidate += MINUTE


@settings(max_examples=100, deadline=None)
@given(instants, st.sampled_from(ZONES), st.integers(0, 23), st.integers(0, 59))
def test_a_daily_schedule_fires_exactly_once_for_every_date(instant, tz, hour, minute):
    expr, zone = f"{minute} {hour} * * *", ZoneInfo(tz)
    instant = _near_a_change(instant, zone)
    dates = []
    for _ in range(4):
        following = next_fire(expr, tz, instant)
        assert following is not None
        assert following > instant
        instant = following
        dates.append(datetime.fromtimestamp(instant // 1_000_000, zone).date())
    if tz != "Pacific/Apia":  # where the fire of the day left out came at the start of the next
        assert all((later - earlier).days == 1 for earlier, later in pairwise(dates))


# --------------------------------------------------------------------------------- the last tick

SCHEDULES = ("* * * * *", "*/7 * * * *", "0 3 * * *", "30 2 31 * *", "0 0 29 2 *", "@every 90s")


@settings(max_examples=150, deadline=None)
@given(
    expr=st.sampled_from(SCHEDULES),
    tz=st.sampled_from(("UTC", "Europe/Berlin", "America/New_York")),
    begin=st.integers(1_700_000_000, 1_900_000_000),
    span=st.integers(0, 3 * 86_400),
)
def test_the_last_tick_is_the_one_after_which_none_comes(expr, tz, begin, span):
    after, until = begin * 1_000_000, (begin + span) * 1_000_000
    found = last_fire(expr, tz, after, until)
    ticks, at = [], after
    if not expr.startswith("@") or span <= 3600:
        while (at := next_fire(expr, tz, at)) is not None and at <= until:
            ticks.append(at)
    if not expr.startswith("@"):
        assert found == (ticks[-1] if ticks else None)
    elif found is not None:
        assert after < found <= until


def test_a_last_tick_of_years_ago_is_found():
    after, until = us("2020-01-01T00:00"), us("2023-12-31T00:00")
    assert last_fire("0 12 29 2 *", "UTC", after, until) == us("2020-02-29T12:00")
    assert last_fire("0 12 30 2 *", "UTC", after, until) is None
