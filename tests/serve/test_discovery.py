"""Finding definitions in modules, attributes, files and directories, and saying what is wrong."""

from __future__ import annotations

import sys

import pytest

from strait.serve import DiscoveryError, discover
from strait.serve.discovery import address_of, discover_all, folders_of

JOB = """
from strait.authoring import JobOptions, define_job
{name} = define_job(JobOptions(name="{name}", slug="{name}"))
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a directory to put files into; what is imported from it is forgotten afterwards."""
    before = dict(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def put(name, text):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return str(file)

    yield put
    for name in set(sys.modules) - set(before):
        del sys.modules[name]


def slugs(found):
    return [job.slug for job in found.jobs], [workflow.slug for workflow in found.workflows]


def test_a_module_is_found_by_its_name(place):
    place("shop_a.py", JOB.format(name="one") + JOB.format(name="two"))
    assert slugs(discover("shop_a")) == (["one", "two"], [])


def test_a_definition_that_has_a_name_is_found_by_its_address(place):
    place("shop_z.py", JOB.format(name="one") + JOB.format(name="two") + "more = [two]\ndel two\n")
    one, two = discover("shop_z").jobs
    assert (address_of(one), address_of(two)) == ("shop_z:one", "")
    assert discover(address_of(one)).jobs == (one,)


def test_a_package_is_found_with_its_submodules_but_is_not_started(place):
    place("shop_b/__init__.py", "")
    place("shop_b/jobs.py", JOB.format(name="one"))
    place("shop_b/deep/__init__.py", "")
    place("shop_b/deep/more.py", JOB.format(name="two"))
    place("shop_b/__main__.py", "raise SystemExit('started')")
    assert sorted(slugs(discover("shop_b"))[0]) == ["one", "two"]
    assert sorted(slugs(discover("./shop_b"))[0]) == ["one", "two"]


def test_an_attribute_is_one_definition_or_a_list(place):
    place("shop_c.py", JOB.format(name="one") + JOB.format(name="two") + "\nboth = [one, two]\n")
    assert slugs(discover("shop_c:two")) == (["two"], [])
    assert slugs(discover("shop_c:both")) == (["one", "two"], [])


def test_a_file_and_a_directory_with_main_are_found_with_what_they_import(place):
    place("app/helper_d.py", JOB.format(name="inner"))
    place("app/main.py", "import helper_d\n" + JOB.format(name="outer"))
    assert slugs(discover("app")) == (["outer", "inner"], [])
    alone = place("shop_d.py", JOB.format(name="one"))
    assert slugs(discover(alone)) == (["one"], [])
    assert slugs(discover(f"{alone}:one")) == (["one"], [])


def test_what_the_steps_of_a_workflow_hold_is_found_with_it(place):
    place(
        "shop_e.py",
        """
from strait.authoring import *
def pipeline():
    undo = define_job(JobOptions(name="U", slug="undo"))
    inner = define_workflow(WorkflowOptions(name="I", slug="inner", steps=[
        job_step("x", define_job(JobOptions(name="J", slug="charge")), compensation_job_id=undo)]))
    return define_workflow(WorkflowOptions(name="O", slug="outer", steps=[
        sub_workflow_step("s", inner)]))
outer = pipeline()
""",
    )
    assert slugs(discover("shop_e")) == (["charge", "undo"], ["inner", "outer"])


def test_a_directory_that_is_no_package_and_has_no_main_is_searched_as_a_whole(place):
    place("flows/shop_q.py", JOB.format(name="one"))
    place("flows/shop_r/__init__.py", "")
    place("flows/shop_r/deep.py", JOB.format(name="two"))
    place("flows/notes.txt", "")
    assert sorted(slugs(discover("flows"))[0]) == ["one", "two"]


def test_several_targets_are_one_and_must_have_something_together(place):
    place("shop_s.py", JOB.format(name="one"))
    place("shop_t.py", JOB.format(name="two"))
    place("shop_u.py", "")
    assert slugs(discover_all(["shop_s", "shop_t.py", "shop_u"])) == (["one", "two"], [])
    with pytest.raises(DiscoveryError, match="`shop_u` defines no jobs"):
        discover_all(["shop_u"])


def test_new_files_belong_to_packages_and_directories_only(place, tmp_path):
    place("shop_v/__init__.py", JOB.format(name="one"))
    place("shop_w.py", JOB.format(name="two"))
    discover_all(["shop_v", "shop_w.py"])
    assert folders_of(["shop_v", "./shop_v", "shop_w.py", "shop_w:two", "not_imported"]) == [
        tmp_path / "shop_v",
        tmp_path / "shop_v",
    ]


@pytest.mark.parametrize(
    ("target", "files", "reason"),
    [
        ("no_such_module_x", {}, "there is no module `no_such_module_x`"),
        ("no_such_package_x.jobs", {}, "there is no module `no_such_package_x.jobs`"),
        ("no/such/dir", {}, "there is no file or directory `no/such/dir`"),
        ("nothing.py", {}, "there is no file or directory `nothing.py`"),
        ("empty", {"empty/x.txt": ""}, "has neither a `main.py` nor an `__init__.py`"),
        ("data.txt", {"data.txt": ""}, "is no Python file"),
        ("bare.py", {"bare.py": "x = 1"}, "`bare.py` defines no jobs and no workflows"),
        ("broken_f", {"broken_f.py": "1/0"}, "ZeroDivisionError: division by zero"),
        ("needs_g", {"needs_g.py": "import no_such_y"}, "No module named 'no_such_y'"),
        ("attr_h:nope", {"attr_h.py": ""}, "`attr_h` has no `nope`"),
        ("attr_i:x", {"attr_i.py": "x = 1"}, "must be a job, a workflow or a list of them, not 1"),
        (
            "twice_j",
            {"twice_j.py": JOB.format(name="one") + "first = one\n" + JOB.format(name="one")},
            "two jobs have the slug `one`",
        ),
    ],
)
def test_what_cannot_be_found_is_told(place, target, files, reason):
    for name, text in files.items():
        place(name, text)
    with pytest.raises(DiscoveryError) as refusal:
        discover(target)
    assert reason in str(refusal.value)


def test_a_second_program_called_main_is_not_taken_for_the_first(place):
    place("one/main.py", JOB.format(name="one"))
    place("two/main.py", JOB.format(name="two"))
    assert slugs(discover("one"))[0] == ["one"]
    with pytest.raises(DiscoveryError, match="a module called `main` is there already"):
        discover("two")
