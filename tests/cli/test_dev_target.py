"""What `strait dev` serves when nothing, or little, is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from strait.cli.dev_target import find, remote_settings
from strait.errors import ConfigurationError


def package(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").touch()


def test_a_name_is_taken_as_it_is(tmp_path: Path) -> None:
    found = find("shop.jobs:pay", tmp_path)
    assert found is not None
    assert (found.names, found.roots) == (("shop.jobs:pay",), (tmp_path.resolve(),))


def test_files_and_packages_elsewhere_are_of_the_project_too(tmp_path: Path) -> None:
    package(tmp_path, "other/shop")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "jobs.py").touch()
    here = tmp_path / "here"
    here.mkdir()
    for name, root in (
        ("../other/shop", "other"),
        ("../more/jobs.py", "more"),
        ("../more", "more"),
    ):
        found = find(name, here)
        assert found is not None
        assert (tmp_path / root).resolve() in found.roots


def test_the_file_comes_before_what_lies_here(tmp_path: Path) -> None:
    package(tmp_path, "shop", "mail")
    (tmp_path / "main.py").touch()
    (tmp_path / "strait.json").write_text(json.dumps({"dirs": ["shop", "mail"]}))
    found = find("", tmp_path)
    assert found is not None
    assert found.names == ("shop", "mail")
    assert "strait.json" in found.where


@pytest.mark.parametrize("dirs", [[], "shop", [1], [""], ["nowhere"]])
def test_directories_of_the_file_that_cannot_be_are_refused(tmp_path: Path, dirs: object) -> None:
    (tmp_path / "strait.json").write_text(json.dumps({"dirs": dirs}))
    with pytest.raises(ConfigurationError, match="dirs"):
        find("", tmp_path)


def test_main_comes_before_packages(tmp_path: Path) -> None:
    package(tmp_path, "shop")
    (tmp_path / "main.py").touch()
    (tmp_path / "strait.json").write_text("{}")
    found = find("", tmp_path)
    assert found is not None
    assert found.names == ("main.py",)


@pytest.mark.parametrize("folder", ["shop", "src/shop"])
def test_the_only_package_is_taken_and_tests_are_none(tmp_path: Path, folder: str) -> None:
    package(tmp_path, folder, "tests")
    found = find("", tmp_path)
    assert found is not None
    assert found.names == (folder,)


def test_of_several_packages_one_must_be_named(tmp_path: Path) -> None:
    package(tmp_path, "shop", "mail")
    with pytest.raises(ConfigurationError, match=r"`mail`, `shop`"):
        find("", tmp_path)


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert find("", tmp_path) is None


def test_settings_of_another_platform_are_named_without_their_secrets(tmp_path: Path) -> None:
    (tmp_path / "strait.json").write_text('{"sdk": {"base_url": "https://a:b@file.test"}}')
    said = remote_settings(
        {"STRAIT_BASE_URL": "https://x:y@z.test", "STRAIT_API_KEY": "k"}, tmp_path
    )
    assert said == [
        "STRAIT_BASE_URL=https://z.test",
        "STRAIT_API_KEY",
        "strait.json: sdk.base_url=https://file.test",
    ]
    assert remote_settings({}, tmp_path / "nowhere") == []
