import asyncio

from main import research_agent

from strait.authoring import create_test_context


def test_it_asks_until_there_are_enough_facts_and_reports_what_they_cost() -> None:
    ctx, record = create_test_context()
    found = asyncio.run(research_agent.run({"question": "what is it?", "facts": 2}, ctx))
    assert found == {"facts": ["what is it?: it is a strait", "what is it?: ships go through it"]}
    assert [usage["cost_microusd"] for usage in record.usage_reports] == [2_000, 2_000]
