"""An agent within a budget: it works in iterations, keeps what it has, and counts what it spends.

`ask_model` stands for your model. Put a call of it there, and report what it really used.
"""

from dataclasses import dataclass
from typing import Any

from strait.authoring import AgentOptions, AgentRunContext, define_agent

COST_MICROUSD = 2_000


@dataclass
class Answer:
    """What a model says, and what that used."""

    text: str
    tokens: int


async def ask_model(question: str, known: list[str]) -> Answer:
    """Answer from a table, so that this runs without an account."""
    facts = ["it is a strait", "ships go through it", "it is narrow"]
    return Answer(f"{question}: {facts[len(known) % len(facts)]}", tokens=120)


async def research(payload: dict[str, Any], ctx: AgentRunContext) -> dict[str, Any]:
    """Ask until there are enough facts; an attempt after a crash goes on at the last checkpoint."""
    known: list[str] = list((ctx.last_checkpoint or {}).get("known", []))
    while len(known) < payload.get("facts", 3) and not ctx.is_budget_exceeded():
        answer = await ask_model(payload["question"], known)
        await ctx.report_usage(
            "example", "example-1", total_tokens=answer.tokens, cost_microusd=COST_MICROUSD
        )
        known.append(answer.text)
        await ctx.checkpoint({"known": known})
    return {"facts": known}


research_agent = define_agent(
    AgentOptions(
        name="Research",
        slug="research",
        run=research,
        max_cost_microusd=1_000_000,
        max_iterations=20,
    )
)
