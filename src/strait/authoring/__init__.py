"""Jobs, workflows, agents and events as Python code, and the context that their handlers get.

    from strait.authoring import JobOptions, define_job

    async def greet(payload, ctx):
        return {"text": f"hello {payload['name']}"}

    job = define_job(JobOptions(name="Greet", slug="greet", project_id="proj-1", run=greet))

A definition is checked when it is made. `register(client)` brings it to a platform, `strait dev`
and `strait.serve` run its handler, `create_test_context` tests the handler without either.
"""

from __future__ import annotations

from strait.authoring.agents import (
    AgentOptions,
    AgentRunContext,
    IterationLimitExceeded,
    SyncAgentRunContext,
    define_agent,
)
from strait.authoring.builders import (
    ai_step,
    approval_step,
    job_step,
    sleep_step,
    sub_workflow_step,
    wait_for_event_step,
)
from strait.authoring.consistency import Finding, check
from strait.authoring.context import (
    RunContext,
    RunContextState,
    create_run_context,
)
from strait.authoring.decorators import JobFunction, WorkflowFunction, agent, job, workflow
from strait.authoring.events import EventDefinition, define_event
from strait.authoring.graph import validate_dag
from strait.authoring.harness import TestRunRecord, create_test_context
from strait.authoring.jobs import JobDefinition, JobOptions, define_job
from strait.authoring.plans import DefinitionPlan, FieldChange, Plan
from strait.authoring.recorded import (
    BlobStore,
    ChildFailed,
    Codec,
    CurrentStep,
    DirectoryBlobs,
    EventTimeout,
    StepFailed,
    StepFunction,
    StepMismatch,
    StepNotAwaited,
    StepTimeout,
    StepValueTooLarge,
    current_step,
    step,
)
from strait.authoring.run_api import RunContextClient
from strait.authoring.session import AttemptSuspended
from strait.authoring.steps import (
    ApprovalStep,
    BaseStepOptions,
    CostGateAction,
    JobStep,
    OnFailureAction,
    ResourceClass,
    RetryBackoff,
    SleepStep,
    Step,
    StepType,
    SubWorkflowStep,
    WaitForEventStep,
    step_to_api,
)
from strait.authoring.sync_context import SyncRunContext, SyncRunContextState
from strait.authoring.triggers import TriggerJobInput, TriggerWorkflowInput
from strait.authoring.typed import PayloadError
from strait.authoring.validation import DefinitionError
from strait.authoring.workflows import WorkflowDefinition, WorkflowOptions, define_workflow

__all__ = [
    "AgentOptions",
    "AgentRunContext",
    "ApprovalStep",
    "AttemptSuspended",
    "BaseStepOptions",
    "BlobStore",
    "ChildFailed",
    "Codec",
    "CostGateAction",
    "CurrentStep",
    "DefinitionError",
    "DefinitionPlan",
    "DirectoryBlobs",
    "EventDefinition",
    "EventTimeout",
    "FieldChange",
    "Finding",
    "IterationLimitExceeded",
    "JobDefinition",
    "JobFunction",
    "JobOptions",
    "JobStep",
    "OnFailureAction",
    "PayloadError",
    "Plan",
    "ResourceClass",
    "RetryBackoff",
    "RunContext",
    "RunContextClient",
    "RunContextState",
    "SleepStep",
    "Step",
    "StepFailed",
    "StepFunction",
    "StepMismatch",
    "StepNotAwaited",
    "StepTimeout",
    "StepType",
    "StepValueTooLarge",
    "SubWorkflowStep",
    "SyncAgentRunContext",
    "SyncRunContext",
    "SyncRunContextState",
    "TestRunRecord",
    "TriggerJobInput",
    "TriggerWorkflowInput",
    "WaitForEventStep",
    "WorkflowDefinition",
    "WorkflowFunction",
    "WorkflowOptions",
    "agent",
    "ai_step",
    "approval_step",
    "check",
    "create_run_context",
    "create_test_context",
    "current_step",
    "define_agent",
    "define_event",
    "define_job",
    "define_workflow",
    "job",
    "job_step",
    "sleep_step",
    "step",
    "step_to_api",
    "sub_workflow_step",
    "validate_dag",
    "wait_for_event_step",
    "workflow",
]
