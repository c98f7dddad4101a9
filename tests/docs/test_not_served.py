"""docs/not-served.md is what the API description and the server say."""

from __future__ import annotations

from tests.docs.not_served import PAGE, render


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == render(), "run `python -m tests.docs.not_served`"


def test_the_page_shows_every_operation_that_is_not_served_once() -> None:
    from strait.server._generated.routes import ROUTES
    from strait.server.routes import registry

    page = PAGE.read_text("utf-8")
    unserved = [route for route in ROUTES if route.id not in registry.operations()]
    rows = [line for line in page.splitlines() if line.startswith("| `client.")]
    served_rows = [line for line in rows if line.endswith("| yes |")]
    assert len(rows) - len(served_rows) == len(unserved)
