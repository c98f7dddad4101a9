"""What stands around runs: environments, events from outside, messages, access, figures."""

from __future__ import annotations

import asyncio

from strait.clock import to_timestamp
from support.handlers import Answer, ok
from support.world import PROJECT, SECRET

from .driver import Scene
from .runs import a_job


async def configuration(scene: Scene) -> None:
    """Environments, secrets, throttles, deployments."""
    key = scene.key
    made = await key(
        "environments.create", project_id=PROJECT, name="Shop", slug="shop", variables={"A": "1"}
    )
    assert "shop" in [row.slug for row in await key("environments.list")]
    assert (await key("environments.get", made.id)).variable_keys == ["A"]
    changed = await key("environments.update", made.id, {"variables": {"B": "2"}})
    assert changed.variable_keys == ["B"]
    assert await key("environments.list_variables", made.id) == {"variables": {"B": "2"}}
    secret = await key(
        "secrets.create", project_id=PROJECT, environment="shop", secret_key="TOKEN", value="s"
    )
    assert [row.secret_key for row in await key("secrets.list")] == ["TOKEN"]
    assert (await key("secrets.get", secret.id)).secret_key == "TOKEN"
    await key("secrets.delete", secret.id)
    await key.fails(404, "secrets.get", secret.id)
    await key("environments.delete", made.id)
    await key.fails(404, "environments.get", made.id)

    assert (await key("throttles.put", "mail", limit=5, period_secs=60)).limit == 5
    assert [row.name for row in await key("throttles.list")] == ["mail"]
    assert (await key("throttles.get", "mail")).period_secs == 60
    await key("throttles.delete", "mail")

    assert (await key("dev.get_status")).state == "off"  # no `strait dev` runs here
    nightly = await key("jobs.create", a_job(scene, "nightly", cron="15 3 * * *"))
    (schedule,) = await key("schedules.list")
    assert (schedule.id, len(schedule.next_runs)) == (nightly.id, 5)

    where = {"project_id": PROJECT, "environment": "production"}
    one, two = [
        await key(
            "deployments.create",
            **where,
            runtime="python",
            artifact_uri=f"https://artifacts.test/{name}.tar.gz",
        )
        for name in ("one", "two")
    ]
    assert {row.id for row in await key("deployments.list")} == {one.id, two.id}
    assert (await key("deployments.finalize", one.id, **where)).status == "finalized"
    assert (await key("deployments.promote", one.id, **where)).status == "promoted"
    assert (await key("deployments.rollback", two.id, **where)).rollback_from_deployment_id


async def sources(scene: Scene) -> None:
    """Events from outside, and who is told of them."""
    key = scene.key
    job = await key("jobs.create", a_job(scene, "told"))
    source = await key("event_sources.create", project_id=PROJECT, name="git")
    assert [row.name for row in await key("event_sources.list")] == ["git"]
    assert (await key("event_sources.get", source.id)).name == "git"
    await key("event_sources.update", source.id, {"description": "pushes"})
    assert (await key("event_sources.get", source.id)).description == "pushes"
    subscription = await key(
        "event_sources.subscribe", source.id, target_type="job", target_id=job.id
    )
    listed = await key("event_sources.list_subscriptions", source.id)
    assert [row.id for row in listed] == [subscription.id]
    sent = await key(
        "event_sources.dispatch_event", source="git", project_id=PROJECT, payload={"ref": "main"}
    )
    assert sent is not None
    (run,) = await key("runs.list", triggered_by="event")
    await scene.world.until(run.id, "completed")
    await key("event_sources.delete_subscription", source.id, subscription.id)
    await key("event_sources.delete", source.id)
    await key.fails(404, "event_sources.get", source.id)


async def messages(scene: Scene) -> None:
    """Webhooks, channels and drains, and what they were sent."""
    key, handlers = scene.key, scene.world.handlers
    handlers.scripts["/hook"] = lambda call: Answer(400)
    handlers.scripts["/drain"] = lambda call: ok()
    url = f"{handlers.url}hook"
    assert (await key("webhooks.test", url=handlers.url)).success is True
    made = await key(
        "webhooks.create_subscription",
        project_id=PROJECT,
        webhook_url=url,
        event_types=["run.completed"],
    )
    hook = made.subscription
    assert [row.id for row in await key("webhooks.list_subscriptions")] == [hook.id]
    assert (await key("webhooks.rotate_subscription_secret", hook.id)).new_secret
    job = await key("jobs.create", a_job(scene, "heard"))
    run = await key("jobs.trigger", job.id)
    await scene.world.until(run.id, "completed")
    async with asyncio.timeout(30):
        while (rows := await key("webhooks.list_all_deliveries"))[0].status != "dead":
            await scene.world.settled()
    (row,) = rows
    assert (await key("webhooks.get_delivery_by_id", row.id)).subscription_id == hook.id
    assert [one.id for one in await key("webhooks.list_legacy_deliveries")] == [row.id]
    handlers.scripts["/hook"] = lambda call: ok()
    await key("webhooks.retry_delivery_by_id", row.id)
    async with asyncio.timeout(30):
        while (await key("webhooks.get_delivery_by_id", row.id)).status != "delivered":
            await scene.world.settled()
    assert (await key("webhooks.replay_delivery", row.id)) is not None
    await key("webhooks.retry_legacy_delivery", await _given_up(scene, job.id))
    lost = await _given_up(scene, job.id)
    assert lost in [row.id for row in await key("admin_outbox.list")]
    assert (await key("admin_outbox.get", lost)).id == lost
    assert (await key("admin_outbox.retry", lost)).retry_outbox_id
    await key("admin_outbox.purge", lost)
    await key.fails(404, "admin_outbox.get", lost)
    await key("webhooks.delete_subscription", hook.id)
    assert await key("webhooks.list_subscriptions") == []

    channel = await key(
        "notification_channels.create", channel_type="webhook", name="ops", config={"url": url}
    )
    assert [row.name for row in await key("notification_channels.list")] == ["ops"]
    assert (await key("notification_channels.get", channel.id)).config == {"url": "***"}
    changed = await key("notification_channels.update", channel.id, {"name": "all"})
    assert changed.name == "all"
    handlers.scripts["/fails"] = lambda call: Answer(400)
    failing = await key("jobs.create", a_job(scene, "fails", max_attempts=1))
    failed = await key("jobs.trigger", failing.id)
    await scene.world.until(failed.id, "dead_letter")
    async with asyncio.timeout(30):
        while not await key("notification_channels.list_deliveries"):
            await scene.world.settled()
    await key("notification_channels.delete", channel.id)

    drain = await key(
        "log_drains.create",
        project_id=PROJECT,
        name="logs",
        drain_type="http",
        endpoint_url=f"{handlers.url}drain",
        auth_type="none",
    )
    assert [row.name for row in await key("log_drains.list")] == ["logs"]
    assert (await key("log_drains.get", drain.id)).enabled is True
    assert (await key("log_drains.update", drain.id, {"enabled": False})).enabled is False
    await key("log_drains.delete", drain.id)


async def _given_up(scene: Scene, job_id: str) -> str:
    """Have the receiver not want what one run sends; return the id of the delivery."""
    handlers, key = scene.world.handlers, scene.key
    handlers.scripts["/hook"] = lambda call: Answer(400)
    run = await key("jobs.trigger", job_id)
    await scene.world.until(run.id, "completed")
    dead: list[str] = []
    async with asyncio.timeout(30):
        while not dead:
            await scene.world.settled()
            rows = await key("webhooks.list_all_deliveries")
            dead = [str(row.id) for row in rows if row.status == "dead"]
    handlers.scripts["/hook"] = lambda call: ok()
    return dead[0]


async def access(scene: Scene) -> None:
    """Keys, logins, roles, members, policies, and the record of all that."""
    key, internal = scene.key, scene.internal
    made = await key(
        "api_keys.create", project_id=PROJECT, name="ci", scopes=["jobs:read"], expires_in_days=3
    )
    assert "ci" in [row.name for row in await key("api_keys.list")]
    expiring = await key("api_keys.list_expiring", within_days=7)
    assert "ci" in [row.name for row in expiring]
    rotated = await key("api_keys.rotate", made.id, grace_period_minutes=5)
    await key("api_keys.delete", rotated.new_key_id)

    code = await scene.nobody("cli_auth.device_code")
    await key("cli_auth.approve_device_code", user_code=code.user_code, project_id=PROJECT)
    token = await scene.nobody(
        "cli_auth.token", device_code=code.device_code, grant_type="device_code"
    )
    assert token.project_id == PROJECT
    assert (await key("sse_tokens.create")).token

    await key("rbac.seed_roles")
    role = await key("rbac.create_role", name="doers", permissions=["runs:read"])
    assert "doers" in [row.name for row in await key("rbac.list_roles")]
    assert (await key("rbac.get_role", role.id)).name == "doers"
    changed = await key("rbac.update_role", role.id, name="doers", permissions=["jobs:read"])
    assert changed.permissions == ["jobs:read"]
    await key("rbac.create_member", user_id="ada", role_id=role.id)
    await key("rbac.bulk_member", items=[{"user_id": "bob", "role_id": role.id}])
    assert {row.user_id for row in await key("rbac.list_members")} == {"ada", "bob"}
    for user in ("ada", "bob"):
        await key("rbac.delete_member", user)
    await key("rbac.delete_role", role.id)
    job = await key("jobs.create", a_job(scene, "guarded"))
    policy = await key(
        "rbac.create_resource_policy",
        project_id=PROJECT,
        resource_type="job",
        resource_id=job.id,
        user_id="ada",
        actions=["jobs:read"],
    )
    listed = await key("rbac.list_resource_policies", resource_type="job", resource_id=job.id)
    assert [row.id for row in listed] == [policy.id]
    await key("rbac.delete_resource_policy", policy.id)
    tagged = await key(
        "rbac.create_tag_policy",
        project_id=PROJECT,
        resource_type="job",
        tag_key="team",
        tag_value="money",
        user_id="ada",
        actions=["jobs:read"],
    )
    assert [row.id for row in await key("rbac.list_tag_policies")] == [tagged.id]
    await key("rbac.delete_tag_policy", tagged.id)

    (event, *_) = await key("rbac.list_audit_events")
    assert (await key("rbac.get_audit_event", event.id)).id == event.id
    assert (await key("rbac.verify_audit_chain")).valid is True
    assert await key("rbac.export_audit_events", **_day(scene))
    assert await internal("audit_admin.list_deadletter") == []
    # No event can be left over (docs/decisions.md), so that none can be named.
    await internal.fails(404, "audit_admin.replay_deadletter", "none")
    await internal.fails(404, "audit_admin.delete_deadletter", "none", reason="tidy")
    assert (await internal("audit_admin.upsert_retention", PROJECT, days=40)).days == 40
    assert (await internal("audit_admin.get_retention", PROJECT)).days == 40
    await internal("audit_admin.rotate_signing_key", PROJECT)
    await internal("audit_admin.upsert_export_cap", PROJECT, row_cap=1000)


async def projects(scene: Scene) -> None:
    """Projects and organizations, the health of the server, what happens in a project."""
    key, internal = scene.key, scene.internal
    made = await internal("projects.create", id="proj-9", org_id="org-1", name="Nine")
    assert made.id == "proj-9"
    listed = await internal("projects.list", org_id="org-1")
    assert {row.id for row in listed} == {PROJECT, "proj-9"}
    assert (await key("projects.get", PROJECT)).id == PROJECT
    assert (await key("projects.get_settings", PROJECT)) is not None
    changed = await key("projects.upsert_settings", PROJECT, max_key_lifetime_days=30)
    assert changed.max_key_lifetime_days == 30
    nine = scene.driver(bearer_token=SECRET, default_headers={"X-Project-Id": "proj-9"})
    await nine("projects.delete", "proj-9")
    organization = await internal(
        "api_keys.create",
        project_id=PROJECT,
        org_id="org-1",
        name="org",
        scopes=["*"],
        expires_in_days=3,
    )
    of_all = scene.driver(api_key=organization.key)
    assert isinstance(await of_all("organizations.list_jobs", "org-1"), list)
    assert isinstance(await of_all("organizations.list_runs", "org-1"), list)

    async def act() -> None:
        await key("jobs.create", a_job(scene, "seen"))

    await key.events("projects.get_activity_stream", PROJECT, cause=act)
    assert (await scene.nobody("health.list")).status == "ok"
    assert (await scene.nobody("health.get_ready")).status == "ready"
    assert "strait_runs" in await internal("health.list_metrics")
    # No worker can connect to this platform.
    assert await key("workers.list") == []
    for name in ("workers.get", "workers.list_tasks", "workers.disconnect"):
        await key.fails(404, name, "none")


async def reference(scene: Scene) -> None:
    """What the platform says of itself."""
    nobody = scene.nobody
    assert "/v1/jobs/{jobID}/trigger" in str(await nobody("reference.get_openapi_json"))
    assert "/v1/jobs/{jobID}/trigger" in str(await nobody("reference.get_openapi_yaml"))
    assert "trigger-job" in str(await nobody("reference.get_html"))
    assert "sdk" in str(await nobody("reference.get_config_schema"))
    await nobody.fails(404, "reference.get_oauth_metadata")
    regions = await scene.key("regions.list")
    assert {"fra", "iad"} <= {row.code for row in getattr(regions, "regions", regions)}


def _day(scene: Scene) -> dict[str, str]:
    now, day = scene.world.platform.clock.now(), 86_400_000_000
    return {"from_": to_timestamp(now - day), "to": to_timestamp(now + 60_000_000)}
