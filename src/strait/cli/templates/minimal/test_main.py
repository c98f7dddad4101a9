import asyncio

from main import greet

from strait.authoring import create_test_context


def test_greet_says_hello() -> None:
    ctx, record = create_test_context()
    assert asyncio.run(greet({"name": "Ada"}, ctx)) == {"text": "hello Ada"}
    assert record.logs[0]["message"] == "greeting Ada"
