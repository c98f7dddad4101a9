"""Usage, budgets and spending limits, from what was counted here (`contract/workflows.md` §5.15).

There are no plans on one's own machine, so nothing has a limit but what was set. A key sees its own
project; one that was made for an organization, and the internal secret, see all of its projects.
Only what counts against the spending limit of the organization is the same for everybody.
"""

from __future__ import annotations

import calendar
import csv
import io
import math
import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from strait.clock import SECOND, to_timestamp
from strait.server._generated import bodies
from strait.server.errors import ApiError, not_found
from strait.server.http import Call, Reply, reply
from strait.server.platform import Platform
from strait.server.registry import Registry
from strait.server.unit import Unit
from strait.server.work import budgets
from strait.store import meta, run_lists, spend
from strait.store.spend import AnomalyThresholds, Budget, SpendingLimit

registry = Registry()

PLAN = "community"
UNLIMITED = -1
_MICROUSD = 1_000_000
_MAX_DAYS = 370
# From when on somebody is told that a limit comes near, as `strait.composition` does.
_NEARLY_PCT = 80
_BUDGET_ACTIONS = ("reject", "block", "notify")


class Scope(NamedTuple):
    """The organization that a request is about, and the projects of it that the caller sees."""

    org_id: str
    projects: list[meta.Project]

    @property
    def ids(self) -> list[str]:
        """The ids of the projects."""
        return [project.id for project in self.projects]


def scope(call: Call, db: sqlite3.Connection) -> Scope:
    """Return what a request is about.

    Raises:
        ApiError: 400, nothing says which organization; 403, it is not the caller's.
    """
    own = meta.get_project(db, call.project_id) if call.project_id else None
    asked = call.query.get("org_id") or ""
    caller = call.principal
    org_id = asked or caller.org_id or (own.org_id if own else "")
    if not org_id:
        raise ApiError(400, "org_id is required")
    if caller.internal or caller.org_id:
        if caller.org_id and caller.org_id != org_id:
            raise ApiError(403, "api key does not belong to this organization")
        return Scope(org_id, meta.projects_of(db, org_id))
    if own is None or own.org_id != org_id:
        raise ApiError(403, "api key does not belong to this organization")
    return Scope(org_id, [own])


def _whole_organization(call: Call, db: sqlite3.Connection) -> str:
    """Return the organization whose limits the caller may set.

    Raises:
        ApiError: 403, its key is for one project of several.
    """
    found = scope(call, db)
    if len(meta.projects_of(db, found.org_id)) > len(found.projects):
        raise ApiError(403, "org-scoped api key required")
    return found.org_id


def _today(call: Call) -> date:
    return datetime.fromtimestamp(call.now / SECOND, UTC).date()


def _days(call: Call) -> tuple[date, date]:
    first, last = (date.fromisoformat(call.query[name]) for name in ("from", "to"))
    if last < first:
        raise ApiError(400, "`to` must not be before `from`")
    if (last - first).days > _MAX_DAYS:
        raise ApiError(400, f"the period from `from` to `to` must be at most {_MAX_DAYS} days")
    return first, last


# ----------------------------------------------------------------------------------------- usage


@registry.other("get-current-usage")
async def current(call: Call, platform: Platform) -> Reply:
    """Show what was used in this month."""
    kept_days = platform.settings.retain_days or UNLIMITED
    return await platform.analyst.ask(lambda db: _current(call, db, kept_days))


def _current(call: Call, db: sqlite3.Connection, kept_days: int) -> Reply:
    found = scope(call, db)
    today = _today(call)
    month, end = _month(today)
    made = spend.runs_by_day(db, found.ids, str(month), str(end))
    executing = sum(
        run_lists.counts(db, project, ("executing",))["executing"] for project in found.ids
    )
    marks = ", ".join("?" for _ in found.ids)
    (members,) = db.execute(
        f"SELECT count(*) FROM records WHERE kind = 'member' AND project_id IN ({marks})", found.ids
    ).fetchone()
    used = {
        "monthly_runs": sum(made.values()),
        "runs_today": sum(n for (_, day), n in made.items() if day == str(today)),
        "concurrent_runs": executing,
        "projects": len(found.projects),
        "members": members,
    }
    shown = {name: {"used": n, "limit": UNLIMITED, "percent": 0} for name, n in used.items()}
    body: dict[str, object] = {
        "org_id": found.org_id,
        "plan": PLAN,
        "period": {"start": str(month), "end": str(end)},
        "usage": {**shown, "retention_days": kept_days},
        "period_spend_microusd": spend.of_month(db, found.ids, to_timestamp(call.now)),
        "overage_microusd": 0,
    }
    alerts = list(_alerts(db, found, to_timestamp(call.now)))
    return reply({**body, "alerts": alerts} if alerts else body)


def _alerts(db: sqlite3.Connection, found: Scope, now: str) -> Iterator[dict[str, object]]:
    """Say which limits of the month are nearly or wholly used up."""
    for project in found.projects:
        budget = spend.limit(db, project.id, Budget) or Budget()
        spent = spend.of_month(db, [project.id], now)
        what = f"the budget of project {project.id}"
        yield from _alert("project_budget", what, spent, budget.monthly_budget_microusd)
    limit = spend.limit(db, found.org_id, SpendingLimit) or SpendingLimit()
    spent = _spent_of_organization(db, found.org_id, now)
    what = f"the spending limit of organization {found.org_id}"
    yield from _alert("spending_limit", what, spent, limit.limit_microusd)


def _alert(kind: str, what: str, spent: int, limit: int) -> Iterator[dict[str, object]]:
    """Make the alert of one limit, where there is cause for one; a limit of 0 is none."""
    if not limit or 100 * spent < _NEARLY_PCT * limit:
        return
    used_up = spent >= limit
    yield {
        "type": kind,
        "dimension": "spend",
        "threshold": 100 if used_up else _NEARLY_PCT,
        "severity": "critical" if used_up else "warning",
        "message": f"{100 * spent // limit} % of {what} is used",
    }


@registry.analysis("get-usage-history")
def history(call: Call, db: sqlite3.Connection) -> Reply:
    """Show runs and spend day by day."""
    found, (first, last) = scope(call, db), _days(call)
    return reply(
        [
            {"date": str(day), "runs_count": made, "spend_microusd": spent}
            for day, made, spent in _by_day(db, found.ids, first, last)
        ]
    )


@registry.analysis("get-project-costs")
def by_project(call: Call, db: sqlite3.Connection) -> Reply:
    """Show runs and spend by project, the dearest first."""
    found, (first, last) = scope(call, db), _days(call)
    rows = []
    for project in found.projects:
        days = _by_day(db, [project.id], first, last)
        spent = sum(day.spend_microusd for day in days)
        rows.append(
            {
                "project_id": project.id,
                "name": project.name,
                "runs": sum(day.runs for day in days),
                "spend_microusd": spent,
                "total_microusd": spent,
            }
        )
    return reply(
        sorted(rows, key=lambda row: (-int(str(row["total_microusd"])), row["project_id"]))
    )


@registry.analysis("export-usage")
def export(call: Call, db: sqlite3.Connection) -> Reply:
    """Write usage by day and project as CSV."""
    if call.query["format"] == "pdf":
        raise ApiError(501, "the embedded server exports usage as CSV only; ask for format=csv")
    found, (first, last) = scope(call, db), _days(call)
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["date", "project_id", "runs_count", "spend_microusd"])
    for project in found.projects:
        for day in _by_day(db, [project.id], first, last):
            writer.writerow([day.day, project.id, day.runs, day.spend_microusd])
    name = f'attachment; filename="usage-{first}-{last}.csv"'.encode()
    headers = ((b"content-disposition", name),)
    return Reply(200, file.getvalue().encode(), headers, b"text/csv")


@registry.analysis("get-usage-forecast")
def forecast(call: Call, db: sqlite3.Connection) -> Reply:
    """Carry the days of this month on to its end, and say when the spending limit is reached.

    The range is one standard deviation of the days about the mean, over the days that are left;
    the confidence is the share of the month that is known.
    """
    found, today = scope(call, db), _today(call)
    month, end = _month(today)
    days = _by_day(db, found.ids, month, today)
    spent = [day.spend_microusd for day in days]
    left = (end - today).days
    mean = sum(spent) / len(spent)
    deviation = math.sqrt(sum((day - mean) ** 2 for day in spent) / len(spent))
    projected = sum(spent) + mean * left
    margin = deviation * math.sqrt(left)
    made = sum(day.runs for day in days)
    limit = (spend.limit(db, found.org_id, SpendingLimit) or SpendingLimit()).limit_microusd
    return reply(
        {
            "projected_monthly_runs": made + round(made / len(days) * left),
            "projected_monthly_spend_usd": projected / _MICROUSD,
            "projected_monthly_spend_low_usd": max(sum(spent), projected - margin) / _MICROUSD,
            "projected_monthly_spend_high_usd": (projected + margin) / _MICROUSD,
            "confidence_pct": round(100 * len(days) / (len(days) + left)),
            "recommended_plan": PLAN,
            "days_until_limit": _days_until(limit, sum(spent), mean, left),
            "projected_overage_microusd": max(0, round(projected) - limit) if limit else 0,
            "addon_spend_microusd": 0,
            "scale_breakeven": False,
        }
    )


def _days_until(limit: int, spent: int, a_day: float, left: int) -> int:
    """Return in how many days a limit is reached, or -1 when it will not be in this month."""
    if not limit or spent + a_day * left < limit:
        return UNLIMITED
    return math.ceil(max(0, limit - spent) / a_day) if a_day else 0


@registry.analysis("get-anomaly-alerts")
def anomalies(call: Call, db: sqlite3.Connection) -> Reply:
    """Say whether today costs far more than the days of the last week did."""
    found, today = scope(call, db), _today(call)
    before = spend.by_day(
        db, found.ids, str(today - timedelta(days=7)), str(today - timedelta(days=1))
    )
    now = spend.by_day(db, found.ids, str(today), str(today))
    spent, usual = sum(now.values()), sum(before.values()) / 7
    thresholds = _thresholds(db, found.org_id)
    if not usual or spent < usual * thresholds.warning_threshold:
        return reply([])
    critical = spent >= usual * thresholds.critical_threshold
    (top, _day) = max(now, key=lambda key: now[key])
    return reply(
        [
            {
                "org_id": found.org_id,
                "today_spend": spent,
                "avg_7d_spend": round(usual),
                "spike_ratio": round(spent / usual, 2),
                "top_contributor": top,
                "severity": "critical" if critical else "warning",
            }
        ]
    )


class _Day(NamedTuple):
    day: date
    runs: int
    spend_microusd: int


def _by_day(db: sqlite3.Connection, ids: list[str], first: date, last: date) -> list[_Day]:
    made = spend.runs_by_day(db, ids, str(first), str(last))
    spent = spend.by_day(db, ids, str(first), str(last))
    return [
        _Day(
            day,
            sum(made.get((project, str(day)), 0) for project in ids),
            sum(spent.get((project, str(day)), 0) for project in ids),
        )
        for day in (first + timedelta(days=n) for n in range((last - first).days + 1))
    ]


def _month(day: date) -> tuple[date, date]:
    length = calendar.monthrange(day.year, day.month)[1]
    return day.replace(day=1), day.replace(day=length)


# ---------------------------------------------------------------------------------------- limits


@registry.read("get-project-budget")
def budget(call: Call, db: sqlite3.Connection) -> Reply:
    """Show the budget of a project and what of it is used."""
    project_id = _project(call, db, call.query["project_id"])
    set_ = spend.limit(db, project_id, Budget) or Budget()
    spent = spend.of_month(db, [project_id], to_timestamp(call.now))
    limit = set_.monthly_budget_microusd
    return reply(
        {
            "project_id": project_id,
            "monthly_budget_microusd": limit,
            "budget_action": set_.budget_action,
            "current_spend_microusd": spent,
            "percent_used": round(100 * spent / limit, 2) if limit else 0,
        }
    )


@registry.write("update-project-budget")
def set_budget(call: Call, unit: Unit) -> Reply:
    """Set the budget of a project; 0 takes it away, and what is left out stays."""
    body = call.body(bodies.UpdateProjectBudgetRequest)
    project_id = _project(call, unit.db, body.project_id or call.project_id)
    present = spend.limit(unit.db, project_id, Budget) or Budget()
    action = body.action or present.budget_action
    if action not in _BUDGET_ACTIONS:
        raise ApiError(400, "budget_action must be 'reject', 'block', or 'notify'")
    amount = _amount(body.budget_microusd, "budget_microusd", present.monthly_budget_microusd)
    limit = Budget(monthly_budget_microusd=amount, budget_action=action)
    budgets.set_limit(unit, project_id, limit)
    return reply({"status": "updated"})


def _amount(value: int | None, name: str, present: int) -> int:
    if value is None:
        return present
    if value < 0:
        raise ApiError(400, f"{name} must not be negative")
    return value


def _project(call: Call, db: sqlite3.Connection, project_id: str) -> str:
    project = meta.get_project(db, project_id)
    if project is None or not (call.principal.internal or project_id == call.project_id):
        raise not_found("project")
    return project_id


@registry.read("get-spending-limit")
def spending_limit(call: Call, db: sqlite3.Connection) -> Reply:
    """Show the spending limit of an organization."""
    found = scope(call, db)
    limit = spend.limit(db, found.org_id, SpendingLimit) or SpendingLimit()
    spent = _spent_of_organization(db, found.org_id, to_timestamp(call.now))
    over = max(0, spent - limit.limit_microusd) if limit.limit_microusd else 0
    return reply(
        {
            "org_id": found.org_id,
            "plan_tier": PLAN,
            "overage_enabled": limit.overage_enabled,
            "spending_limit_usd": limit.limit_microusd / _MICROUSD,
            "limit_action": limit.action,
            "current_spend_usd": spent / _MICROUSD,
            "overage_spend_usd": over / _MICROUSD,
            "is_hard_capped": bool(limit.limit_microusd) and limit.action == "reject",
        }
    )


def _spent_of_organization(db: sqlite3.Connection, org_id: str, now: str) -> int:
    """Return what counts against the limit, whoever asks: the sum that refuses triggers."""
    return spend.of_month(db, [project.id for project in meta.projects_of(db, org_id)], now)


@registry.write("update-spending-limit")
def set_spending_limit(call: Call, unit: Unit) -> Reply:
    """Set the spending limit of an organization; 0 takes it away, and what is left out stays."""
    org_id = _whole_organization(call, unit.db)
    body = call.body(bodies.UpdateSpendingLimitRequest)
    present = spend.limit(unit.db, org_id, SpendingLimit) or SpendingLimit()
    action = body.action or present.action
    if action not in {"reject", "notify"}:
        raise ApiError(400, "action must be 'reject' or 'notify'")
    overage = present.overage_enabled if body.overage_enabled is None else body.overage_enabled
    amount = _amount(body.limit_microusd, "limit_microusd", present.limit_microusd)
    limit = SpendingLimit(limit_microusd=amount, action=action, overage_enabled=overage)
    budgets.set_limit(unit, org_id, limit)
    return reply({"status": "updated"})


@registry.read("get-anomaly-config")
def anomaly_config(call: Call, db: sqlite3.Connection) -> Reply:
    """Show from when on a day counts as an anomaly."""
    return reply(_thresholds(db, scope(call, db).org_id))


@registry.write("update-anomaly-config")
def set_anomaly_config(call: Call, unit: Unit) -> Reply:
    """Set from when on a day counts as an anomaly."""
    org_id = _whole_organization(call, unit.db)
    body = call.body(bodies.UpdateAnomalyConfigRequest)
    present = _thresholds(unit.db, org_id)
    warning, critical = body.warning_threshold, body.critical_threshold
    warning = present.warning_threshold if warning is None else warning
    critical = present.critical_threshold if critical is None else critical
    if warning <= 1:
        raise ApiError(400, "warning_threshold must be greater than 1.0")
    if critical <= warning:
        raise ApiError(400, "critical_threshold must be greater than warning_threshold")
    spend.set_limit(
        unit.db, org_id, AnomalyThresholds(warning_threshold=warning, critical_threshold=critical)
    )
    return reply({"status": "updated"})


def _thresholds(db: sqlite3.Connection, org_id: str) -> AnomalyThresholds:
    return spend.limit(db, org_id, AnomalyThresholds) or AnomalyThresholds()


@registry.read("check-org-limit")
def check_org_limit(call: Call, db: sqlite3.Connection) -> Reply:
    """Say that there may be one more organization: here they are not counted."""
    if not call.principal.internal:
        raise ApiError(403, "organization limits require internal secret")
    return reply({"status": "allowed"})
