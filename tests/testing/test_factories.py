"""Things of the platform that are made up for tests are such that a platform could send them."""

from __future__ import annotations

import pytest

import strait.models
from strait.errors import ValidationError
from strait.models.base import StraitModel
from strait.testing import (
    MockPlatform,
    make,
    make_job,
    make_page,
    make_run,
    make_triggered,
    make_workflow,
    make_workflow_run,
)

MODELS = [
    model
    for name in sorted(strait.models._MODULES)
    if isinstance(model := getattr(strait.models, name), type)
    and issubclass(model, StraitModel)
    and model is not StraitModel
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_model_can_be_made_and_is_read_without_a_warning(model, caplog):
    made = make(model)
    again = model.from_json(made.to_json().encode())
    assert again == made
    assert all(name in made.model_fields_set for name in required(model))
    assert caplog.text == ""


def required(model):
    return [name for name, field in model.model_fields.items() if field.is_required()]


def test_what_a_test_names_is_what_it_gets():
    job = make_job(slug="remind", max_attempts=7)
    assert (job.slug, job.max_attempts, job.enabled, job.id) == ("remind", 7, True, "job_1")
    assert make_run().status == "completed"
    assert make_run(status="failed", error="no").error == "no"
    assert make_triggered().id == "run_1"
    assert make_workflow(name="W").name == "W"
    assert make_workflow_run().workflow_id == make_workflow().id
    change = make(strait.models.RunStreamItem, from_="queued")
    assert change == make(strait.models.RunStreamItem, **{"from": "queued"})


def test_a_field_that_is_misspelt_or_does_not_fit_is_refused():
    with pytest.raises(ValidationError, match="`Job` has no field `max_attemps`"):
        make_job(max_attemps=7)
    with pytest.raises(ValidationError, match="max_attempts"):
        make_job(max_attempts="many")


def test_a_mock_answers_with_what_was_made():
    mock = MockPlatform()
    mock.answer(
        "jobs.list",
        make_page([make_job(id="a")], next_cursor="2026-01-01T00:00:00Z"),
        make_page([make_job(id="b")]),
    )
    with mock.client() as client:
        assert list(client.jobs.list()) == [make_job(id="a"), make_job(id="b")]
