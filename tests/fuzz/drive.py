"""A real server process, handlers for its dispatches, and many requests at once."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from cli.processes import Running, running
from fuzz import checks
from fuzz.known import Known
from fuzz.requests import Caller, Request, Requests
from fuzz.values import Place
from fuzz.wire import Answer, Wire
from strait.server._generated.routes import ROUTES
from strait.server.routes import registry
from strait.store import maintenance
from support.handlers import Answer as HandlerAnswer
from support.handlers import Handlers, Received

INTERNAL = "fuzz-internal-secret-0123456789"
_PROJECTS = (("proj_fuzz_one", "org_fuzz_one"), ("proj_fuzz_two", "org_fuzz_two"))
_ROUTES = {route.id: route for route in ROUTES}
_KEPT_FAULTS = 3


@dataclass
class Report:
    """What came of a run of the fuzzer."""

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    succeeded: set[str] = field(default_factory=set)
    # Each fault once, with how often it was seen and the first requests that show it.
    faults: dict[str, list[str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, fault: str, shown: str) -> None:
        """Count a fault."""
        self.counts[fault] += 1
        examples = self.faults.setdefault(fault, [])
        if len(examples) < _KEPT_FAULTS:
            examples.append(shown)

    @property
    def never(self) -> list[str]:
        """Operations of which no success was seen, so that little of them was tested."""
        return sorted(registry.operations() - self.succeeded)

    def __str__(self) -> str:
        lines = [
            f"{self.requests} requests, {len(self.succeeded)} operations succeeded at least once",
            "statuses " + " ".join(f"{k}:{v}" for k, v in sorted(self.statuses.items())),
            "served, and never succeeded: " + " ".join(self.never),
            f"{len(self.faults)} faults",
        ]
        for fault, examples in self.faults.items():
            lines += [f"- {fault} ({self.counts[fault]} times)", *(f"    {e}" for e in examples)]
        return "\n".join(lines)


async def fuzz(directory: Path, *, requests: int, seed: int, workers: int) -> Report:
    """Send so many requests to a new server and return what was wrong with its answers."""
    report = Report()
    handlers = _FuzzHandlers(random.Random(seed))
    await handlers.start()
    arguments = ("serve", "--port", "0", "--db", "fuzz.db", "--json", "--stream-max-secs", "0.05")
    hushed: list[str] = []
    try:
        with running(*arguments, cwd=directory, INTERNAL_SECRET=INTERNAL) as platform:
            tasks = [
                _work(platform, handlers, report, hushed, requests // workers, seed + number)
                for number in range(workers)
            ]
            await asyncio.gather(*tasks)
            await _check_alive(platform, report)
            status = await asyncio.to_thread(platform.stop)
            if status:
                report.add(f"the server ended with status {status}", "")
            _check_log(platform.stderr, report)
    finally:
        await handlers.stop()
    _check_disk(directory, (INTERNAL, *hushed), report)
    return report


async def _work(
    platform: Running,
    handlers: _FuzzHandlers,
    report: Report,
    hushed: list[str],
    count: int,
    seed: int,
) -> None:
    """Make requests as two projects by turns, each with what it has learnt itself."""
    rng = random.Random(seed)
    address = urlsplit(platform.base_url)
    wire = Wire(str(address.hostname), int(address.port or 0))
    callers = []
    for project_id, org_id in _PROJECTS:
        place = Place(project_id, org_id, handlers.url, hushed=hushed)
        caller = Caller(place, "", Known(), INTERNAL, handlers.executing)
        await _renew(wire, caller)
        callers.append((caller, Requests(rng, caller)))
    for number in range(count):
        caller, made = callers[number % 5 == 0]
        request = made.next()
        answer = await wire.send(request)
        report.requests += 1
        report.statuses[answer.status] += 1
        shown = f"{request} -> {answer.status} {answer.body[:300]!r}"
        secrets = (caller.key, caller.organization_key, INTERNAL)
        for fault in checks.faults(request, answer, caller.place, secrets):
            report.add(fault, shown)
        if answer.status < 400:
            report.succeeded.add(request.route.id)
            _learn(caller, request, answer)
        keys = {f"Bearer {caller.key}", f"Bearer {caller.organization_key}"}
        if answer.status == 401 and keys & set(request.headers.values()):
            # It has revoked its own key, or deleted its project.
            await _renew(wire, caller)
    wire.close()


def _learn(caller: Caller, request: Request, answer: Answer) -> None:
    if answer.headers.get("content-type", "").startswith("application/json"):
        answered = json.loads(answer.body or b"null")
        caller.known.learn(request.route.path, answered, request.placed)


async def _renew(wire: Wire, caller: Caller) -> None:
    """Make the project, when it is not there, and a new key for it."""
    place = caller.place
    headers = {
        "X-Internal-Secret": INTERNAL,
        "X-Project-Id": place.project_id,
        "Content-Type": "application/json",
    }
    project = {"id": place.project_id, "org_id": place.org_id, "name": "fuzz"}
    await wire.send(
        Request(
            _ROUTES["create-project"], "/v1/projects", "", headers, json.dumps(project).encode()
        )
    )
    caller.key = await _key(wire, headers, project_id=place.project_id)
    caller.organization_key = await _key(
        wire, headers, project_id=place.project_id, org_id=place.org_id
    )


async def _key(wire: Wire, headers: dict[str, str], **of: str) -> str:
    body = {**of, "name": "all", "scopes": ["*"], "expires_in_days": 1}
    answer = await wire.send(
        Request(_ROUTES["create-api-key"], "/v1/api-keys", "", headers, json.dumps(body).encode())
    )
    assert answer.status == 201, answer
    return str(json.loads(answer.body)["key"])


async def _check_alive(platform: Running, report: Report) -> None:
    address = urlsplit(platform.base_url)
    wire = Wire(str(address.hostname), int(address.port or 0))
    answer = await wire.send(Request(_ROUTES["health-ready"], "/health/ready"))
    wire.close()
    if answer.status != 200:
        report.add("the server is not ready at the end", repr(answer))


def _check_log(log: str, report: Report) -> None:
    for block in log.split("\n\n") if "Traceback" in log else ():
        report.add("the server logged a traceback", block[-1500:])


def _check_disk(directory: Path, secrets: tuple[str, ...], report: Report) -> None:
    for problem in maintenance.check(directory / "fuzz.db").problems:
        report.add(f"the database is broken: {problem}", "")
    for path in directory.iterdir():
        content = path.read_bytes()
        # One text for all of them: thousands of secrets, and each looked for alone takes long.
        found = next((secret for secret in secrets if secret.encode() in content), None)
        if found is not None:
            at = content.index(found.encode())
            report.add(f"{path.name} has a secret in clear", repr(content[at - 300 : at + 60]))


class _FuzzHandlers(Handlers):
    """Handlers that take a while, so that runs are executing, and answer in many ways."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.executing: deque[tuple[str, str]] = deque(maxlen=50)
        self._rng = rng
        self.script = self._answer

    async def _answer(self, call: Received) -> HandlerAnswer:
        self.received.clear()
        if "x-run-token" not in call.headers:
            return HandlerAnswer(self._rng.choice((200, 404)))  # a webhook or a drain
        mine = (call.run_id, call.token)
        self.executing.append(mine)
        await asyncio.sleep(self._rng.random() * 2)
        if mine in self.executing:
            self.executing.remove(mine)
        chance = self._rng.random()
        if chance < 0.6:
            return HandlerAnswer(200, b'{"a":{"b":[1,2]}}')
        if chance < 0.9:
            return HandlerAnswer(self._rng.choice((400, 404, 429, 500, 503)), b'{"error":"x"}')
        return HandlerAnswer(self._rng.choice((200, None)), b"\xff{not json")
