"""What `strait deploy` does: check, plan, show who is under way, ask, apply."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from strait.authoring.plans import DefinitionPlan, FieldChange, Plan
from strait.authoring.registration import SECRETS
from strait.cli import check, inputs, lookup, output
from strait.cli.failures import CommandError, ExitCode
from strait.cli.places import describe
from strait.cli.progress import counted, tracked, working
from strait.cli.session import pages
from strait.config import check_base_url
from strait.fsm import TERMINAL_RUN_STATUSES, TERMINAL_WORKFLOW_RUN_STATUSES, RunStatus
from strait.serve.manifest import Manifest
from strait.serve.registration import RegistrationReport, plan_all, register_all

if TYPE_CHECKING:
    from strait.authoring.definitions import Definition
    from strait.cli.session import Session
    from strait.compatibility import Target
    from strait.errors import Json

_SIGNING_SECRET = "STRAIT_SIGNING_SECRET"  # noqa: S105 - the name of a variable
_UNFINISHED = [status.value for status in RunStatus if status not in TERMINAL_RUN_STATUSES]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for on the command line."""

    target: str
    handlers: str
    kind: Target | None
    plan_only: bool
    allow: tuple[str, ...]
    yes: bool


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Runs of one job or workflow, one version of it and one status, that have not ended."""

    kind: str
    slug: str
    version: int
    status: str
    runs: int

    def shown(self) -> dict[str, str | int]:
        """Return it as JSON."""
        return {
            "kind": self.kind,
            "slug": self.slug,
            "version": self.version,
            "status": self.status,
            "runs": self.runs,
        }


class _Deployment:
    """A manifest, the platform that it is for, and the addresses of its handlers."""

    def __init__(self, session: Session, definitions: list[Definition], handlers: str) -> None:
        self.session = session
        self.manifest = Manifest.of(definitions)
        self.handlers = check_base_url(handlers, "--handlers") if handlers else ""
        self._secret = os.environ.get(_SIGNING_SECRET, "")
        if not self.handlers:
            self._needs_no_handlers()

    def _needs_no_handlers(self) -> None:
        hosted = [
            job.slug
            for job in self.manifest.jobs
            if job.hosted and job.settings.get("execution_mode") != "worker"
        ]
        if hosted:
            raise CommandError(
                f"job `{hosted[0]}` has a handler, and nothing says where it is hosted",
                "give --handlers URL, or set STRAIT_HANDLERS_URL",
                ExitCode.USAGE,
            )

    def plan(self) -> Plan:
        """Return what would be done."""
        plan = plan_all(
            self.session.client,
            self.manifest,
            base_url_of_handlers=self.handlers,
            project_id=self.session.project_id,
            signing_secret=self._secret,
        )
        if not isinstance(plan, Plan):
            raise TypeError("a synchronous client gives no awaitable")
        return plan

    def apply(self) -> None:
        """Do it: jobs one by one, then the workflows that may name them."""
        parts = [Manifest((job,), ()) for job in self.manifest.jobs]
        if self.manifest.workflows:
            parts.append(Manifest((), self.manifest.workflows))
        for part in tracked("deploy", parts):
            report = register_all(
                self.session.client,
                part,
                base_url_of_handlers=self.handlers,
                project_id=self.session.project_id,
                signing_secret=self._secret,
            )
            if not isinstance(report, RegistrationReport):
                raise TypeError("a synchronous client gives no awaitable")


def run(session: Session, wanted: Wanted) -> None:
    """Bring a target to a platform, or say what that would do.

    Raises:
        CommandError: the check refuses, or nothing says where the handlers are.
    """
    check.check_allowed(wanted.allow)
    definitions = check.defined(wanted.target)
    platform = wanted.kind or ("embedded" if session.place.is_local else "platform")
    problems = check.find(definitions, platform, wanted.allow)
    if problems:
        _refuse(session, problems)
    deployment = _Deployment(session, definitions, wanted.handlers)
    with working("plan"):
        plan = deployment.plan()
    under_way = list(_under_way(session, deployment.manifest))
    if not session.as_json:
        output.say(f"to {describe(session.place)}")
        _tell(plan, under_way)
    done = not wanted.plan_only and bool(plan)
    if done:
        changes = sum(one.action != "keep" for one in plan)
        question = f"Deploy {output.count(changes, 'change')} to {session.place.base_url}?"
        inputs.confirm(question, yes=wanted.yes)
        deployment.apply()
    if session.as_json:
        output.print_json(_document(session, plan, under_way, done=done))
    elif done:
        output.say("deployed")
    elif not plan:
        output.say("nothing to do")


def _refuse(session: Session, problems: list[check.Problem]) -> None:
    if session.as_json:
        found = [check.shown(one) for one in problems]
        output.print_json({"done": False, "problems": found})
    else:
        output.say("\n".join(map(check.line, problems)))
    raise CommandError(
        f"{output.count(len(problems), 'problem')} found, nothing was deployed",
        "correct them, or say --allow FEATURE",
    )


def _under_way(session: Session, manifest: Manifest) -> Iterator[UnderWay]:
    """Count the runs of the manifest's jobs and workflows that have not ended."""
    jobs = {job.slug for job in manifest.jobs}
    slugs = {i: slug for i, slug in lookup.job_slugs(session.client).items() if slug in jobs}
    if slugs:
        listed = pages(session.client.runs.list, lookup.MANY, statuses=_UNFINISHED)
        found = Counter(
            (slugs[one["job_id"]], one["job_version"], one["status"])
            for one in counted("runs", listed)
            if one["job_id"] in slugs
        )
        for (slug, version, status), runs in sorted(found.items()):
            yield UnderWay("job", slug, version, status, runs)
    flows = {flow.slug for flow in manifest.workflows}
    for workflow_id, slug in lookup.workflow_slugs(session.client).items():
        if slug not in flows:
            continue
        call = session.client.workflows.list_runs
        living = Counter(
            (one["workflow_version"], one["status"])
            for one in counted("workflow runs", pages(call, lookup.MANY, workflow_id=workflow_id))
            if one["status"] not in TERMINAL_WORKFLOW_RUN_STATUSES
        )
        for (version, status), runs in sorted(living.items()):
            yield UnderWay("workflow", slug, version, status, runs)


def _tell(plan: Plan, under_way: list[UnderWay]) -> None:
    kept = sum(one.action == "keep" for one in plan)
    for one in plan:
        if one.action != "keep":
            output.say(_diff(one))
    if kept:
        output.say(
            f"  {output.count(kept, 'definition')} as they are" if kept > 1 else "  1 as it is"
        )
    if under_way:
        output.say("\nnot ended, and to meet the new code:")
        rows = [(one.slug, f"v{one.version}", one.status, one.runs) for one in under_way]
        output.table(("of", "version", "status", "runs"), rows)
        output.say()


def _diff(one: DefinitionPlan) -> str:
    mark = {"create": "+", "change": "~"}[one.action]
    lines = [f"{mark} {one.kind} {one.slug}"]
    lines += [f"    {change}" for change in one.changes]
    return "\n".join(lines)


def _document(
    session: Session, plan: Plan, under_way: list[UnderWay], *, done: bool
) -> dict[str, Json]:
    return {
        "platform": session.place.base_url,
        "project_id": session.project_id,
        "done": done,
        "definitions": [
            {
                "kind": one.kind,
                "slug": one.slug,
                "action": one.action,
                "changes": [_change(change) for change in one.changes],
            }
            for one in plan
        ],
        "under_way": [one.shown() for one in under_way],
        "problems": [],
    }


def _change(change: FieldChange) -> dict[str, Json]:
    if change.field in SECRETS:
        return {"field": change.field, "sent_again": True}
    return {"field": change.field, "before": change.before, "after": change.after}
