"""Budgets: what a project may spend in a month, and what happens to triggers once it has.

`reject` and `block` refuse new runs of jobs and workflows until the next month begins, and let none
that is over begin anew by a replay or a retry by hand; work that is under way goes on, its steps
and retries included. `notify` lets everything through. The log says it once for each time that a
budget, or the spending limit of an organization, is passed.
"""

from __future__ import annotations

import logging

from strait.server.errors import QuotaExceeded
from strait.server.unit import Unit
from strait.store import meta, spend
from strait.store.spend import Budget, SpendingLimit

logger = logging.getLogger("strait.server")

REFUSING = frozenset({"reject", "block"})


def check(unit: Unit, project_id: str) -> None:
    """Check that a project may start something new.

    Raises:
        QuotaExceeded: 402, its budget or the spending limit of its organization is used up.
    """
    if not _anybody_has_one(unit):
        return
    budget = spend.limit(unit.db, project_id, Budget)
    if budget is not None and budget.monthly_budget_microusd and budget.budget_action in REFUSING:
        spent = spend.of_month(unit.db, [project_id], unit.stamp)
        if spent >= budget.monthly_budget_microusd:
            raise QuotaExceeded(
                "project_budget_reached",
                "the project has used up its budget of this month",
                limit=budget.monthly_budget_microusd,
                current=spent,
            )
    _check_organization(unit, project_id)


def _check_organization(unit: Unit, project_id: str) -> None:
    project = meta.get_project(unit.db, project_id)
    limit = spend.limit(unit.db, project.org_id, SpendingLimit) if project else None
    if project is None or limit is None or limit.action != "reject" or not limit.limit_microusd:
        return
    members = [member.id for member in meta.projects_of(unit.db, project.org_id)]
    spent = spend.of_month(unit.db, members, unit.stamp)
    if spent >= limit.limit_microusd:
        raise QuotaExceeded(
            "spending_limit_reached",
            "the organization has reached its spending limit of this month",
            limit=limit.limit_microusd,
            current=spent,
        )


def _anybody_has_one(unit: Unit) -> bool:
    # Asked for each trigger, so the answer is kept until a limit is set.
    platform = unit.platform
    if platform.has_budgets is None:
        platform.has_budgets = spend.any_limit(unit.db)
    return platform.has_budgets


def set_limit(unit: Unit, owner_id: str, limit: Budget | SpendingLimit) -> None:
    """Set the budget of a project, or the spending limit of an organization."""
    spend.set_limit(unit.db, owner_id, limit)
    unit.platform.has_budgets = None


def spent(unit: Unit, project_id: str, microusd: int) -> None:
    """Count what a run has reported, and say which limits that used up."""
    if not microusd:
        return
    spend.add(unit.db, project_id, unit.stamp, microusd)
    if not _anybody_has_one(unit):
        return
    budget = spend.limit(unit.db, project_id, Budget)
    if budget is not None:
        what = f"project {project_id} has used up its budget"
        _say(unit, what, [project_id], microusd, budget.monthly_budget_microusd,
             budget.budget_action)  # fmt: skip
    project = meta.get_project(unit.db, project_id)
    limit = spend.limit(unit.db, project.org_id, SpendingLimit) if project else None
    if project is not None and limit is not None:
        members = [member.id for member in meta.projects_of(unit.db, project.org_id)]
        what = f"organization {project.org_id} has reached its spending limit"
        _say(unit, what, members, microusd, limit.limit_microusd, limit.action)


def _say(
    unit: Unit, what: str, project_ids: list[str], microusd: int, limit: int, action: str
) -> None:
    """Say in the log that projects have just passed a limit; 0 is none."""
    total = spend.of_month(unit.db, project_ids, unit.stamp) if limit else 0
    if total - microusd < limit <= total:
        unit.after(
            lambda: logger.warning(
                "%s of this month: %d of %d microusd (%s)", what, total, limit, action
            )
        )
