"""What a run context needs of a client, so that any object with these methods will do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from strait.errors import Json


class RunContextClient(Protocol):
    """What a run context needs of a client: `client.sdk_runs`, synchronous or asynchronous."""

    def checkpoint_run(self, run_id: str, body: dict[str, Json], /) -> object:
        """Persist a state."""
        ...

    def heartbeat_run(self, run_id: str, /) -> object:
        """Say that the run is alive."""
        ...

    def progress_run(self, run_id: str, body: dict[str, Json], /) -> object:
        """Report progress."""
        ...

    def log_run(self, run_id: str, body: dict[str, Json], /) -> object:
        """Add a log event."""
        ...

    def usage_run(self, run_id: str, body: dict[str, Json], /) -> object:
        """Report the usage of a model."""
        ...

    def tool_call_run(self, run_id: str, body: dict[str, Json], /) -> object:
        """Report a tool call."""
        ...

    def output_run(self, run_id: str, body: dict[str, Json], /) -> object:
        """Save a named output."""
        ...

    def wait_for_event_run(self, run_id: str, body: dict[str, Json], /) -> object:
        """Let the run wait for an event."""
        ...

    def spawn_run(self, run_id: str, body: dict[str, Json], /) -> object:
        """Start a child run."""
        ...

    def continue_run(self, run_id: str, body: dict[str, Json], /) -> object:
        """Start the run that continues this one."""
        ...

    def annotate_run(self, run_id: str, body: dict[str, Json], /) -> object:
        """Lay entries over the run's metadata."""
        ...

    def complete_run(self, run_id: str, body: dict[str, Json], /) -> object:
        """End the run with a result."""
        ...

    def fail_run(self, run_id: str, body: dict[str, Json], /) -> object:
        """End the run with an error."""
        ...

    def set_state(self, run_id: str, body: dict[str, Json], /) -> object:
        """Write a state key."""
        ...

    def list_state(self, run_id: str, /) -> object:
        """Read all state keys."""
        ...

    def get_state(self, run_id: str, key: str, /) -> object:
        """Read a state key."""
        ...

    def delete_state(self, run_id: str, key: str, /) -> object:
        """Delete a state key."""
        ...

    def stream_run(self, run_id: str, body: dict[str, Json], /) -> object:
        """Publish a chunk of a stream."""
        ...
