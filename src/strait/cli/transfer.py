"""`strait export` and `strait import`: a project as a file, and back."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from strait.cli.config_keys import strays
from strait.cli.places import Asked, find
from strait.cli.progress import working
from strait.cli.session import tell_strays
from strait.errors import StraitError
from strait.transfer import (
    Change,
    ImportPlan,
    TransferError,
    apply_import,
    dumps,
    export_project,
    loads,
    plan_import,
)

if TYPE_CHECKING:
    from strait.client import Client


@dataclass(frozen=True, slots=True)
class Settings:
    """Which platform and project; what is None is as every client has it here."""

    path: str | None = None
    profile: str | None = None
    base_url: str | None = None
    project_id: str | None = None
    api_key: str | None = field(default=None, repr=False)

    def client(self) -> Client:
        """Return a client with them."""
        asked = Asked(
            base_url=self.base_url,
            project_id=self.project_id,
            profile=self.profile,
            path=self.path,
            api_key=self.api_key,
        )
        tell_strays(strays(self.path))
        return find(asked).client(plain=False)


def write(out: str, *, with_variables: bool, settings: Settings) -> None:
    """Write the file; `-` is the standard output."""
    with settings.client() as client, working("export"):
        text = dumps(export_project(client, with_variables=with_variables))
        if out == "-":
            sys.stdout.write(text)
            return
        # Values of variables are for their owner only.
        mode = 0o600 if with_variables else 0o666
        path, new = Path(out), Path(f"{out}.new")
        try:
            new.unlink(missing_ok=True)
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except OSError as error:
            # It is the file that was named which cannot be written.
            raise OSError(error.errno, error.strerror, out) from None
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        new.replace(path)


def read(
    file: Path,
    *,
    plan_only: bool,
    prune: bool,
    values: Path | None,
    as_json: bool,
    settings: Settings,
) -> None:
    """Import a file, or say what that would do; the exit status is 1 if something is blocked."""
    with settings.client() as client, working("import"):
        document = loads(_text_of(file))
        given = loads_values(values) if values else {}
        plan = plan_import(client, document, prune=prune, values=given)
        if not plan_only:
            apply_import(client, plan)
    print(json.dumps(_shown(plan, done=not plan_only)) if as_json else plan)
    sys.exit(any(change.action == "blocked" for change in plan.changes))


def _text_of(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError:
        raise TransferError(f"`{file}` is no text in UTF-8") from None


def loads_values(file: Path) -> dict[str, str]:
    """Read the secret values of an import: an object of texts.

    Raises:
        StraitError: it is none.
    """
    try:
        values = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError):
        # The error of the decoder would quote the file, which has secrets.
        raise StraitError(f"`{file}` is no JSON") from None
    if not isinstance(values, dict) or not all(isinstance(one, str) for one in values.values()):
        raise StraitError(f"`{file}` must be an object of texts, by the names in `to_set`")
    return values


def _shown(plan: ImportPlan, *, done: bool) -> dict[str, object]:
    return {
        "done": done,
        "is_empty": plan.is_empty,
        "changes": [_change(one) for one in plan.changes if one.action != "keep"],
        "notes": plan.notes,
        "to_set": plan.to_set,
    }


def _change(change: Change) -> dict[str, object]:
    return {
        "section": change.section,
        "key": change.key,
        "action": change.action,
        "fields": sorted(change.after),
        "reason": change.reason,
    }
