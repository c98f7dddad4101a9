"""The report of an audit, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_PROBLEMS = (
    ("changed", "files differ from RECORD"),
    ("missing", "files are missing"),
    ("unmet", "dependencies are not met"),
)


def write(directory: Path, audited: list[dict[str, Any]], failed: list[dict[str, Any]]) -> Path:
    """Write `report.json` and `report.md`, and return the path of the second."""
    directory.mkdir(parents=True, exist_ok=True)
    totals = {
        "distributions": len(audited),
        "files": sum(row["files"] for row in audited),
        "bytes": sum(row["bytes"] for row in audited),
        "without_licence": sorted(row["name"] for row in audited if not row["licence"]),
        "with_findings": sorted(
            row["name"] for row in audited if any(row[kind] for kind, _ in _PROBLEMS)
        ),
        "not_audited": sorted(row["name"] for row in failed),
    }
    whole = {"totals": totals, "distributions": audited, "failed": failed}
    (directory / "report.json").write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    path = directory / "report.md"
    path.write_text(_markdown(totals, audited, failed), encoding="utf-8")
    return path


def _markdown(
    totals: dict[str, Any], audited: list[dict[str, Any]], failed: list[dict[str, Any]]
) -> str:
    lines = [
        "# Dependency audit",
        "",
        _summary(totals),
        "",
        "## Findings",
        "",
    ]
    found = [
        *_findings(audited),
        *(f"- **{row['name']}** was not audited: {row['error']}" for row in failed),
    ]
    lines += found or ["Nothing is wrong."]
    lines += ["", "## Distributions", "", "| name | version | licence | files | MB |"]
    lines += ["|---|---|---|---:|---:|"]
    lines += [
        f"| {row['name']} | {row['version']} | {row['licence'] or '—'} | {row['files']} "
        f"| {row['bytes'] / 1e6:.2f} |"
        for row in audited
    ]
    return "\n".join(lines) + "\n"


def _summary(totals: dict[str, Any]) -> str:
    megabytes = totals["bytes"] / 1e6
    return f"{totals['distributions']} distributions, {totals['files']} files, {megabytes:.1f} MB."


def _findings(audited: list[dict[str, Any]]) -> list[str]:
    lines = []
    for row in audited:
        if not row["licence"]:
            lines.append(f"- **{row['name']}** declares no licence")
        for kind, meaning in _PROBLEMS:
            if row[kind]:
                shown = ", ".join(f"`{item}`" for item in row[kind][:5])
                more = f" and {len(row[kind]) - 5} more" if len(row[kind]) > 5 else ""
                lines.append(f"- **{row['name']}**: {len(row[kind])} {meaning}: {shown}{more}")
    return lines
