"""`python -m codegen` writes every generated module; `--check` only tells what would change."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from codegen import compatibility, llms, models, output, reference, server, services, worker
from codegen.ir import Api
from codegen.load import load

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "strait"
FOLDERS = [
    PACKAGE / name
    for name in ("client/_generated", "models", "operations", "server/_generated", "services")
]
DESCRIPTION = PACKAGE / "server" / "_generated" / "openapi.json"
REFERENCE = ROOT / "docs" / "reference" / "api"


def sources(api: Api) -> dict[Path, str]:
    """Return every generated module, unformatted."""
    generated = PACKAGE / "server" / "_generated"
    printed = {
        "models": models.modules_of_models(api),
        "operations": services.published_paths(api),
        "services": services.modules_of_services(api),
    }
    return {
        PACKAGE / "client" / "_generated" / "__init__.py": '"""What clients have of the API."""',
        PACKAGE / "client" / "_generated" / "attributes.py": services.attributes(api),
        **{
            PACKAGE / folder / f"{name}.py": source
            for folder, found in printed.items()
            for name, source in found.items()
        },
        generated / "__init__.py": '"""Tables that are generated from the API description."""',
        generated / "routes.py": server.routes(api),
        generated / "bodies.py": server.bodies(api),
    }


def described(file: Path) -> str:
    """Return the description as the server gives it out: without blanks, a line for each part."""
    return _lines(json.loads(file.read_text("utf-8")), depth=3) + "\n"


def _lines(value: object, depth: int) -> str:
    if not depth or not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    parts = [f"{json.dumps(name)}:{_lines(part, depth - 1)}" for name, part in value.items()]
    return "{" + ",\n".join(parts) + "}"


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m codegen", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    check = parser.parse_args().check
    api = load(ROOT / "api")
    modules = output.formatted(sources(api), ROOT)
    modules[DESCRIPTION] = described(ROOT / "api" / "openapi.json")
    modules |= {REFERENCE / name: text for name, text in reference.pages(api).items()}
    protocol = ROOT / "src" / worker.PACKAGE
    modules |= {
        protocol / name: text
        for name, text in worker.modules(ROOT / "api" / "worker.proto").items()
    }
    modules[compatibility.PAGE] = compatibility.page()
    modules[llms.PAGE] = llms.llms()
    leftovers = output.stale(modules, FOLDERS)
    leftovers += [page for page in sorted(REFERENCE.glob("*.md")) if page not in modules]
    if not check:
        changed = output.write(modules, leftovers)
        print(f"{len(modules)} files, {len(changed)} changed")
        return 0
    difference = output.differences(modules, leftovers)
    sys.stdout.write(difference)
    return 1 if difference else 0


if __name__ == "__main__":
    raise SystemExit(main())
