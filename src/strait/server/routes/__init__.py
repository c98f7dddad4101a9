"""The functions that answer the operations of the API, one module per family of resources."""

from strait.server.registry import Registry
from strait.server.routes import (
    analytics,
    api_keys,
    audit,
    audit_admin,
    billing,
    bulk_runs,
    dependencies,
    environments,
    events,
    job_admin,
    job_groups,
    jobs,
    projects,
    run_reads,
    runs,
    sdk,
    sdk_records,
    secrets,
    streams,
    system,
    triggers,
    workflow_definitions,
    workflow_reads,
    workflow_runs,
    workflows,
)

registry = Registry()
for _module in (
    analytics,
    api_keys,
    audit,
    audit_admin,
    billing,
    bulk_runs,
    dependencies,
    environments,
    events,
    job_admin,
    job_groups,
    jobs,
    projects,
    run_reads,
    runs,
    sdk,
    sdk_records,
    secrets,
    streams,
    system,
    triggers,
    workflow_definitions,
    workflow_reads,
    workflow_runs,
    workflows,
):
    registry.merge(_module.registry)

__all__ = ["registry"]
