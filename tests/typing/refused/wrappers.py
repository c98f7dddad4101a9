"""What a type checker must refuse: each line that ends in `# no` and no other."""

from __future__ import annotations

from typing_extensions import Unpack

from strait import Client, Job
from strait.models.params import CreateJobRequest


def use(*things: object) -> None:
    assert things


def create(client: Client, **fields: Unpack[CreateJobRequest]) -> Job:
    return client.jobs.create(**fields)


def wraps(client: Client) -> None:
    create(client, slug="tea", name="Tea", project_id="p", nme="Tea")  # no
    create(client, slug="tea", name="Tea", project_id="p", max_attempts="3")  # no
    create(client, slug="tea")  # no
    number: int = client.get("/v1/jobs/job_1", cast_to=Job)  # no
    client.get("/v1/x", body={})  # no
    client.jobs.list(idle_timeout=5)  # no
    client.runs.stream("run_1", idle_timeout="5")  # no
    client.jobs.list().take("3")  # no
    Client(api_key="k", app_info="my-app")  # no
    use(number)
