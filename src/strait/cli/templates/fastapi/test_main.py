import asyncio

from main import welcome

from strait.authoring import create_test_context


def test_a_user_is_welcomed() -> None:
    ctx, _ = create_test_context()
    assert asyncio.run(welcome({"name": "Ada"}, ctx)) == {"sent": "welcome Ada"}
