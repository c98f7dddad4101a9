"""The bootstrap of a platform without a dashboard: `INTERNAL_SECRET` and two requests."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from .processes import running

pytestmark = pytest.mark.e2e

SECRET = "dev-internal-secret-0123456789"
ARGUMENTS = ("serve", "--port", "0", "--ephemeral", "--json")
PROJECT = {"id": "proj_test", "org_id": "org_test", "name": "test"}


def test_a_stranger_with_the_secret_makes_a_project_and_a_key_that_works(tmp_path: Path) -> None:
    with running(*ARGUMENTS, cwd=tmp_path, INTERNAL_SECRET=SECRET) as platform:
        internal = {"X-Internal-Secret": SECRET}
        made = httpx.post(f"{platform.base_url}/v1/projects", headers=internal, json=PROJECT)
        assert made.status_code == 201
        key = httpx.post(
            f"{platform.base_url}/v1/api-keys",
            headers={**internal, "X-Project-Id": "proj_test"},
            json={
                "project_id": "proj_test",
                "name": "ci",
                "scopes": ["*"],
                "expires_in_days": 30,
            },
        ).json()["key"]
        assert key.startswith("strait_")
        headers = {"Authorization": f"Bearer {key}"}
        assert httpx.get(f"{platform.base_url}/v1/jobs", headers=headers).json()["data"] == []
        assert SECRET not in platform.stderr


@pytest.mark.parametrize("sent", ["wrong-secret-0123456789", ""])
def test_without_the_right_secret_nothing_is_made(tmp_path: Path, sent: str) -> None:
    with running(*ARGUMENTS, cwd=tmp_path, INTERNAL_SECRET=SECRET) as platform:
        answer = httpx.post(
            f"{platform.base_url}/v1/projects", headers={"X-Internal-Secret": sent}, json=PROJECT
        )
        assert answer.status_code == 401


def test_a_platform_without_a_secret_takes_none(tmp_path: Path) -> None:
    with running(*ARGUMENTS, cwd=tmp_path) as platform:
        answer = httpx.post(
            f"{platform.base_url}/v1/projects", headers={"X-Internal-Secret": ""}, json=PROJECT
        )
        assert answer.status_code == 401
