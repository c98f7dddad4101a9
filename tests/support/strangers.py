"""What holds for the records of a project, whatever they are: who may see and change them."""

from __future__ import annotations

from support.world import World


async def assert_kept_from_others(world: World, path: str, *, scopes: str = "jobs:read") -> None:
    """Assert that a record is 404 for another project, and not to be deleted by who only reads.

    Args:
        world: where the record is.
        path: of the record; the list that it is in is the path without its id.
        scopes: what a key needs to read it.
    """
    stranger = world.client(await world.key_for("*", project="other"))
    assert (await stranger.get(path.rpartition("/")[0])).json() == []
    for answer in (
        await stranger.get(path),
        await stranger.patch(path, json={"name": "x"}),
        await stranger.delete(path),
    ):
        assert answer.status_code == 404
    reader = world.client(await world.key_for(scopes))
    assert (await reader.get(path)).status_code == 200
    assert (await reader.delete(path)).status_code == 403
