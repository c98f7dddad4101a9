"""Cron schedules in the platform's grammar (`contract/runs.md` §6.12).

Five fields: minute, hour, day of month, month, day of week (0 to 6, Sunday is 0). A field is a
list of `*`, `?`, numbers, names (`jan`, `mon`), ranges and steps; `5/15` runs from 5 to the end.
If both days are restricted, either may match. Workflows may also say `@daily` and the like, and
`@every 1h30m`. Six fields, `L`, `W` and `#` do not exist.

A schedule whose minute or hour is a star goes by the time that passes: `*/15 * * * *` fires
every 15 minutes, whatever is done to the clocks. All others go by the clock on the wall: a time
that is left out when clocks are set forward fires when the clock is there again, and a time that
comes twice fires once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

_SECOND_US = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOOKS_BACK_US = (120 * 10**6, 7_200 * 10**6, 172_800 * 10**6, 5_356_800 * 10**6)
_MICROSECOND = timedelta(microseconds=1)
_MINUTE = timedelta(minutes=1)
_LAST_YEAR = 9_990  # what lies behind it a `datetime` may not hold


class CronError(ValueError):
    """An expression or a zone is not usable; the text is the contract's.

    Attributes:
        detail: what exactly is wrong, for people.
    """

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message, detail)
        self.detail = detail

    def __str__(self) -> str:
        return str(self.args[0])


def validate_job_cron(expr: str) -> None:
    """Check the `cron` of a job: exactly five fields, no descriptors.

    Raises:
        CronError: `cron expression must have exactly 5 fields …, got N` or
            `invalid cron expression`.
    """
    count = len(expr.split())
    if count != len(_FIELDS):
        raise CronError(
            "cron expression must have exactly 5 fields "
            f"(minute hour day-of-month month day-of-week), got {count}"
        )
    _parse_fields(expr)


def validate_workflow_cron(expr: str) -> None:
    """Check the `cron` of a workflow: five fields, or a descriptor such as `@daily`, `@every 5m`.

    Raises:
        CronError: `invalid cron expression`.
    """
    _parse(expr)


def validate_timezone(tz: str) -> None:
    """Check the name of a time zone; "" is UTC.

    Raises:
        CronError: `invalid timezone`.
    """
    _zone(tz)


def next_fire(expr: str, tz: str, after_us: int) -> int | None:
    """Return the first instant after `after_us` at which the schedule fires.

    Args:
        expr: five fields or a descriptor.
        tz: an IANA zone in which the fields are read; "" is UTC.
        after_us: microseconds since the epoch.

    Returns:
        Microseconds since the epoch, or None for a day that never comes, like the 30th of
        February.

    Raises:
        CronError: the expression or the zone is invalid.
    """
    schedule, zone = _parse(expr), _zone(tz)
    if isinstance(schedule, Interval):
        return after_us - after_us % _SECOND_US + schedule.secs * _SECOND_US
    if not schedule.can_come():
        return None
    after = _EPOCH + timedelta(microseconds=after_us)
    fire = _next_passing if schedule.by_minute else _next_on_wall
    found = fire(schedule, after, zone)
    return None if found is None else (found - _EPOCH) // _MICROSECOND


def last_fire(expr: str, tz: str, after_us: int, until_us: int) -> int | None:
    """Return the last instant after `after_us` and not after `until_us` at which it fires.

    Args:
        expr: as in `next_fire`.
        tz: as in `next_fire`.
        after_us: microseconds since the epoch.
        until_us: microseconds since the epoch.

    Raises:
        CronError: the expression or the zone is invalid.
    """
    # Looks back a little first, then further, so that few instants are counted however many there
    # are; each look has at most some dozens.
    for back_us in (*_LOOKS_BACK_US, until_us - after_us):
        found, instant = None, max(after_us, until_us - back_us)
        while (instant_ := next_fire(expr, tz, instant)) is not None and instant_ <= until_us:
            found = instant = instant_
        if found is not None or until_us - back_us <= after_us:
            return found
    return None


def matches(expr: str, tz: str, instant_us: int) -> bool:
    """Say whether the minute of an instant is one of the schedule's, as execution windows ask.

    Raises:
        CronError: the expression or the zone is invalid, or it is an `@every`, which has no
            minutes.
    """
    schedule, zone = _parse(expr), _zone(tz)
    if isinstance(schedule, Interval):
        raise CronError(_INVALID, "`@every` is no window")
    return schedule.holds(_local(instant_us, zone))


def _local(instant_us: int, zone: tzinfo) -> datetime:
    return (_EPOCH + timedelta(microseconds=instant_us)).astimezone(zone)


# ---------------------------------------------------------------------------------------- search


def _next_passing(schedule: Fields, after: datetime, zone: tzinfo) -> datetime | None:
    """Return the first minute after `after` that the schedule holds in local time."""
    moment = after.replace(second=0, microsecond=0) + _MINUTE
    while moment.year < _LAST_YEAR:
        ahead = schedule.minutes_ahead(moment.astimezone(zone))
        if not ahead:
            return moment
        moment += timedelta(minutes=ahead)
    return None


def _next_on_wall(schedule: Fields, after: datetime, zone: tzinfo) -> datetime | None:
    """Return the first instant after `after` at which a clock on the wall shows the schedule."""
    # A clock on the wall is one whose offset never changes, so it is read as if it were UTC.
    wall: datetime | None = after.astimezone(zone).replace(tzinfo=UTC)
    while wall is not None:
        wall = _next_passing(schedule, wall, UTC)
        # In an hour that comes twice the wall shows again what has fired already.
        if wall is not None and (instant := _shown_at(wall, zone)) > after:
            return instant
    return None


def _shown_at(wall: datetime, zone: tzinfo) -> datetime:
    """Return when the wall shows a time first, or what comes after it if that is left out."""
    while True:
        instant = wall.replace(tzinfo=zone).astimezone(UTC)
        if instant.astimezone(zone).replace(tzinfo=UTC) == wall:
            return instant
        wall += _MINUTE


@lru_cache(maxsize=64)
def _zone(tz: str) -> tzinfo:
    try:
        return ZoneInfo(tz) if tz not in ("", "UTC") else UTC
    except (KeyError, ValueError, OSError) as error:
        raise CronError(
            "invalid timezone", f"`{tz}` is not a zone of the IANA database, like `Europe/Berlin`"
        ) from error


# --------------------------------------------------------------------------------------- grammar

_INVALID = "invalid cron expression"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What a field may say."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Bounds("minute", 0, 59),
    _Bounds("hour", 0, 23),
    _Bounds("day of month", 1, 31),
    _Bounds("month", 1, 12, _MONTHS),
    _Bounds("day of week", 0, 6, _DAYS),
)


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its values, whether it restricts nothing, and whether it begins with a star."""

    values: frozenset[int]
    star: bool
    starred: bool


@dataclass(frozen=True, slots=True)
class Fields:
    """A schedule of five fields."""

    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field

    def holds(self, moment: datetime) -> bool:
        """Say whether a local time is one of the schedule's."""
        in_minute = moment.minute in self.minute.values and moment.hour in self.hour.values
        return in_minute and moment.month in self.month.values and self._on_day(moment)

    def _on_day(self, moment: datetime) -> bool:
        by_day = moment.day in self.day.values
        by_weekday = moment.isoweekday() % 7 in self.weekday.values
        if self.day.star or self.weekday.star:
            return by_day and by_weekday
        return by_day or by_weekday

    @property
    def by_minute(self) -> bool:
        """Whether the schedule goes by the time that passes, not by the clock on the wall."""
        return self.minute.starred or self.hour.starred

    def can_come(self) -> bool:
        """Say whether there is such a day; the 30th of February is none."""
        longest = max(_DAYS_IN[month] for month in self.month.values)
        return not self.weekday.star or min(self.day.values) <= longest

    def minutes_ahead(self, moment: datetime) -> int:
        """Return how far one can go from a local time without missing a fire; 0 at a fire."""
        in_month = moment.month in self.month.values
        if not in_month or not self._on_day(moment):
            # Up to three hours before the day or the month ends, for fear of an hour left out.
            whole_days = 0 if in_month else max(0, _SURE_DAYS[moment.month] - moment.day)
            left = (24 * whole_days + 21 - moment.hour) * 60 - moment.minute
            return max(left, 60 - moment.minute)
        if moment.hour not in self.hour.values:
            return 60 - moment.minute
        return 0 if moment.minute in self.minute.values else 1


_DAYS_IN = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_SURE_DAYS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True, slots=True)
class Interval:
    """A schedule of `@every`: whole seconds between two fires."""

    secs: int


_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


def _invalid(detail: str) -> CronError:
    return CronError(_INVALID, detail)


@lru_cache(maxsize=512)
def _parse(expr: str) -> Fields | Interval:
    if not expr.startswith("@"):
        return _parse_fields(expr)
    if expr.startswith("@every "):
        return Interval(_parse_duration(expr.removeprefix("@every ")))
    fields = _DESCRIPTORS.get(expr)
    if fields is None:
        known = ", ".join(f"`{name}`" for name in _DESCRIPTORS)
        raise _invalid(f"`{expr}` is no descriptor; known are {known} and `@every <duration>`")
    return _parse_fields(fields)


def _parse_fields(expr: str) -> Fields:
    words = expr.split()
    if len(words) != len(_FIELDS):
        raise _invalid(f"five fields are expected, got {len(words)}")
    fields = [_parse_field(word, bounds) for word, bounds in zip(words, _FIELDS, strict=True)]
    return Fields(*fields)


def _parse_field(word: str, bounds: _Bounds) -> Field:
    values: set[int] = set()
    star = False
    for item in word.split(","):
        found, is_star = _parse_item(item, bounds)
        values |= found
        star |= is_star
    return Field(frozenset(values), star, word[0] in "*?")


def _parse_item(item: str, bounds: _Bounds) -> tuple[set[int], bool]:
    """Read `*`, `5`, `1-5` or one of them with `/step`."""
    range_, slash, step_text = item.partition("/")
    step = _parse_number(step_text, bounds) if slash else 1
    if step < 1:
        raise _invalid(f"the step of `{item}` in the {bounds.name} must be at least 1")
    if range_ in ("*", "?"):
        return set(range(bounds.low, bounds.high + 1, step)), step == 1
    low_text, dash, high_text = range_.partition("-")
    low = _parse_value(low_text, bounds)
    high = _parse_value(high_text, bounds) if dash else (bounds.high if slash else low)
    if high < low:
        raise _invalid(f"`{range_}` in the {bounds.name} ends before it begins")
    return set(range(low, high + 1, step)), False


def _parse_value(text: str, bounds: _Bounds) -> int:
    if text.lower() in bounds.names:
        return bounds.names.index(text.lower()) + bounds.low
    value = _parse_number(text, bounds)
    if not bounds.low <= value <= bounds.high:
        raise _invalid(f"the {bounds.name} is from {bounds.low} to {bounds.high}, not `{text}`")
    return value


def _parse_number(text: str, bounds: _Bounds) -> int:
    if not _DIGITS.fullmatch(text):
        raise _invalid(f"`{text}` in the {bounds.name} is not a number")
    return int(text)


_DIGITS = re.compile(r"[0-9]{1,9}")

# ------------------------------------------------------------------------------------- durations

# Microseconds are written with either of two letters that look alike.
_UNIT_NS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 1_000_000,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3_600 * 10**9,
}
_DURATION_PART = re.compile(r"(?=\.?[0-9])([0-9]{0,18})(?:\.([0-9]{0,18}))?([^0-9.]+)")
_MAX_DURATION_NS = 2**63 - 1


def _parse_duration(text: str) -> int:
    """Read a duration such as `1h30m` or `1.5s` as whole seconds, at least one."""
    return max(1, duration_ns(text) // 10**9)


def duration_ns(text: str) -> int:
    """Return a duration such as `1h30m` or `1.5s` in nanoseconds.

    Raises:
        CronError: it is none.
    """
    total = place = 0
    unsigned = text.removeprefix("+")
    while place < len(unsigned):
        part = _DURATION_PART.match(unsigned, place)
        unit = _UNIT_NS.get(part[3]) if part else None
        if part is None or unit is None:
            break
        fraction = part[2] or ""
        total += int(part[1] or 0) * unit + int(fraction or 0) * unit // 10 ** len(fraction)
        place = part.end()
    if not unsigned or place < len(unsigned) or total > _MAX_DURATION_NS:
        raise _invalid(f"`{text}` is not a duration, like `90s` or `1h30m`")
    return total
