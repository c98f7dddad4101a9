"""Carrying out decisions over workflow runs."""

from __future__ import annotations

from strait.engine.model import EventTrigger, Run, Workflow, WorkflowRun
from strait.server.unit import Unit


def fire(unit: Unit, workflow: Workflow) -> None:
    """Start a workflow by its schedule."""


def job_ended(unit: Unit, run: Run, result: str | None) -> None:
    """Tell a workflow step that its job run is over."""


def trigger_settled(unit: Unit, trigger: EventTrigger) -> None:
    """Tell a workflow step that its wait is over."""


def ended(unit: Unit, run: WorkflowRun) -> None:
    """Tell whoever waits that a workflow run is over."""


def run_due(unit: Unit, workflow_run_id: str) -> None:
    """Let a workflow run end whose time is up."""


def approval_due(unit: Unit, approval_id: str) -> None:
    """Let an approval end whose time is up."""


def after_restart(unit: Unit) -> None:
    """Watch all workflow runs that are not over."""
