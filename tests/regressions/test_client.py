"""Bugs of the published client whose opposite no other test of the client says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from strait import Client
from tests.client.conftest import KEY
from tests.client.sockets import Wire, streams

SOURCES = Path(__file__).parents[2] / "src"


def test_the_activity_of_a_project_is_a_stream() -> None:
    event = b'data: {"type": "run.completed"}\n\n'
    with (
        Wire(streams(b": keepalive\n\n", event)) as wire,
        Client(base_url=wire.url, api_key=KEY) as client,
        client.projects.get_activity_stream("proj_1") as activity,
    ):
        assert next(activity)["type"] == "run.completed"


def test_the_version_is_known_without_an_installation() -> None:
    # `-S` leaves out all that is installed, this package included.
    path = f"import sys; sys.path.insert(0, {str(SOURCES)!r})"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"{path}; import strait; print(strait.__version__)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip()[0].isdigit()
