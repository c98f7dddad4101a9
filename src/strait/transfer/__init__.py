"""What a project consists of, as one file: out of any platform, and into any other.

    document = export_project(client)
    plan = plan_import(other, document)
    print(plan)
    apply_import(other, plan)

Only the public API is used, so that both sides may be embedded or hosted. Things are known by slug
or name, never by id; secrets are not in the file. Runs, keys and members do not come along.
"""

from strait.transfer.applying import apply_import
from strait.transfer.document import FORMAT, TransferError, dumps, loads
from strait.transfer.planning import Change, ImportPlan, plan_import
from strait.transfer.reading import export_project

__all__ = [
    "FORMAT",
    "Change",
    "ImportPlan",
    "TransferError",
    "apply_import",
    "dumps",
    "export_project",
    "loads",
    "plan_import",
]
