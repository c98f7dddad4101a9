"""B80: what the README does with contexts is accepted; lines that end in `# no` are refused."""

from __future__ import annotations

from strait import AsyncClient, Client
from strait.authoring import RunContext, create_run_context, create_test_context


async def with_either_client(client: Client, async_client: AsyncClient) -> None:
    for context in (
        create_run_context(client.sdk_runs, "run-1"),
        create_run_context(async_client.sdk_runs, "run-1", attempt=2),
    ):
        await handle(context)
    create_run_context(client.runs, "run-1")  # no


async def handle(ctx: RunContext) -> None:
    await ctx.checkpoint({"step": 1})
    await ctx.state.set("k", 1)
    entries = await ctx.state.list()
    ctx.logger.info("%d entries", len(entries))
    ctx.checkpoint(1, 2)  # no


def test_plain() -> None:
    context, record = create_test_context(sync=True)
    context.checkpoint({"step": 1})
    first: dict[str, object] = record.checkpoints[0]
    assert first
