"""No release changes the public API unseen."""

from __future__ import annotations

from pathlib import Path

from tests.client.surface import lines

LISTING = Path(__file__).parents[1] / "api_surface.txt"


def test_the_public_api_is_the_one_that_is_listed() -> None:
    listed, found = LISTING.read_text("utf-8").splitlines(), lines()
    gone = sorted(set(listed) - set(found))
    new = sorted(set(found) - set(listed))
    assert (gone, new) == ([], []), "run `python -m tests.client.surface`, and tell the CHANGELOG"
    assert len(found) > 800
