"""Every code block of docs/composition.md, run as it stands there."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from strait import Client
from strait.authoring import create_test_context
from support.markdown import blocks

from .conftest import Script, lost

PAGE = Path(__file__).parents[2] / "docs" / "composition.md"
BLOCKS = {block.name: block for block in blocks(PAGE)}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"done": True}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/run"
        server.shutdown()
        thread.join()


@pytest.fixture
def names(endpoint: str) -> Iterator[dict[str, Any]]:
    with Client.local() as client:
        job = client.jobs.create(
            project_id=client.project_id, name="Job", slug="a-job", endpoint_url=endpoint
        )
        yield {"client": client, "job_id": job.id}


def test_every_block_is_run() -> None:
    assert sorted(BLOCKS) == [
        *("Budgets", "Deployments", "Paginate", "Results", "Resume", "Retry", "Retry 2", "Wait"),
    ]


def test_a_function_is_tried_again_and_a_call_has_one_key(names: dict[str, Any]) -> None:
    names["fetch_prices"] = Script(lost(), [1.5])
    BLOCKS["Retry"].run(names)
    assert names["result"] == [1.5]
    first = BLOCKS["Retry 2"].run(names)["run"].id
    assert BLOCKS["Retry 2"].run(names)["run"].id == first


def test_a_run_is_waited_for(names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert BLOCKS["Wait"].run(names)["run"].payload == {"n": 1}
    assert capsys.readouterr().out == "completed\n"


def test_raw_pages_are_followed(names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    BLOCKS["Paginate"].run(names)
    assert capsys.readouterr().out == "a-job\n"


def test_results_are_matched(names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    BLOCKS["Results"].run(names)
    assert capsys.readouterr().out == "no job: 404\n"


async def test_a_handler_stays_within_its_budget() -> None:
    async def ask_model(payload: Any) -> tuple[str, int]:
        return f"about {payload}", 30_000

    handler = BLOCKS["Budgets"].run({"ask_model": ask_model})["handler"]
    ctx, record = create_test_context()
    found = await handler("tea", ctx)
    assert found == {"answer": "about tea", "strait.cost_microusd": 30_000}
    assert record.state_store["cost_budget"]["spent"] == 30_000


async def test_a_handler_resumes() -> None:
    done: list[int] = []

    async def import_row(index: int) -> None:
        done.append(index)

    handler = BLOCKS["Resume"].run({"import_row": import_row})["import_rows"]
    ctx, record = create_test_context(last_checkpoint={"next": 5})
    await handler({"rows": 12}, ctx)
    assert done == [*range(5, 12)]
    assert record.checkpoints == [{"next": 10}, {"next": 12}]


def test_a_deployment_is_promoted(capsys: pytest.CaptureFixture[str]) -> None:
    from .conftest import Platform

    platform = Platform()
    platform.answers = [(200, {"id": "d1", "status": "promoted"})]
    with platform.client() as client:
        BLOCKS["Deployments"].run({"client": client, "deployment": {"project_id": "p"}})
    assert capsys.readouterr().out == "promoted\n"
