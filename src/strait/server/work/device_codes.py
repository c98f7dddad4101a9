"""Device codes: logins of command lines that wait for a key (`contract/workflows.md` §5.16)."""

from __future__ import annotations

from strait.server.unit import Unit

KIND = "device_code"


def forget_expired(unit: Unit) -> None:
    """Drop the codes whose time is over."""
    unit.db.execute(
        "DELETE FROM records WHERE kind = ? AND fields ->> '$.expires_at' < ?", (KIND, unit.stamp)
    )


def forget(unit: Unit, project_id: str) -> None:
    """Drop the codes that were approved for a project: nobody gets a key for them any more."""
    unit.db.execute(
        "DELETE FROM records WHERE kind = ? AND fields ->> '$.project_id' = ?", (KIND, project_id)
    )
