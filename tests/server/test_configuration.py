"""Where settings come from, which of them wins, and what is said of a wrong one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from strait.errors import ConfigurationError
from strait.server.configuration import load, table
from strait.server.options import OPTIONS
from strait.server.settings import Settings

DOCS = Path(__file__).parents[2] / "docs" / "embedded.md"


def written(tmp_path: Path, **section: object) -> Path:
    file = tmp_path / "strait.json"
    file.write_text(json.dumps({"project": {"id": "p"}, "server": section}))
    return file


def test_a_flag_wins_over_a_variable_and_that_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, query_secs=1, drain_secs=2, max_in_flight=3)
    environment = {"STRAIT_SERVER_QUERY_SECS": "4", "STRAIT_SERVER_DRAIN_SECS": "5"}
    found = load({"query_secs": "6"}, environment, file)
    assert found == {"query_secs": 6.0, "drain_secs": 5.0, "max_in_flight": 3}


def test_each_setting_takes_its_default_as_text() -> None:
    texts = {
        option.variable: ",".join(default) if isinstance(default, tuple) else str(default)
        for option in OPTIONS
        for default in [getattr(Settings(), option.name)]
        if default is not None
    }
    assert Settings(**load({}, texts)) == Settings()


def test_settings_of_other_types_are_read() -> None:
    environment = {
        "STRAIT_SERVER_TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8",
        "STRAIT_SERVER_OPEN_METRICS": "true",
        "STRAIT_SERVER_ROOT_PATH": "/strait/",
        "INTERNAL_SECRET": "s3cret",
    }
    assert load({}, environment) == {
        "trusted_proxies": ("127.0.0.1", "10.0.0.0/8"),
        "open_metrics": True,
        "root_path": "/strait",
        "internal_secret": "s3cret",
    }


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("query_secs", "soon", "more than 0 seconds"),
        ("query_secs", "-1", "more than 0 seconds"),
        ("query_secs", "inf", "more than 0 seconds"),
        ("drain_secs", "soon", "seconds"),
        ("keepalive_secs", "0", "more than 0 seconds"),
        ("max_in_flight", "1.5", "a whole number from 1 on"),
        ("max_in_flight", "0", "a whole number from 1 on"),
        ("max_body_bytes", "0", "a whole number from 1 on"),
        ("trusted_proxies", "127.0.0.1, proxy", "addresses or networks, with commas between"),
        ("allowed_hosts", "http://x", "names, with commas between"),
        ("allowed_hosts", "x:8080", "names, with commas between"),
        ("allow_origin", "foo", "origins like `https://app.example`, with commas between"),
        ("allow_origin", "https://x/a", "origins like `https://app.example`, with commas between"),
        ("limits", "some", "`none` or `platform`"),
        ("open_metrics", "perhaps", "`true` or `false`"),
        ("root_path", "strait", "a path like `/strait`"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_right(name: str, value: str, expected: str) -> None:
    variable = f"STRAIT_SERVER_{name.upper()}"
    with pytest.raises(ConfigurationError) as caught:
        load({}, {variable: value})
    assert str(caught.value) == f"{variable}: {value!r} is not {expected}"


def test_names_and_origins_of_all_forms_are_taken() -> None:
    given = {
        "STRAIT_SERVER_ALLOWED_HOSTS": "strait.internal, [::1], 10.0.0.7",
        "STRAIT_SERVER_ALLOW_ORIGIN": "https://app.example, http://localhost:3000/, *",
        "STRAIT_SERVER_TRUSTED_PROXIES": "*, ::1, 10.0.0.0/8",
    }
    assert load({}, given) == {
        "allowed_hosts": ("strait.internal", "[::1]", "10.0.0.7"),
        "allow_origin": ("https://app.example", "http://localhost:3000/", "*"),
        "trusted_proxies": ("*", "::1", "10.0.0.0/8"),
    }


@pytest.mark.parametrize("name", ["internal_secret", "encryption_key", "colour"])
def test_the_file_holds_no_secrets_and_nothing_unknown(tmp_path: Path, name: str) -> None:
    file = written(tmp_path, **{name: "hidden-value"})
    with pytest.raises(ConfigurationError, match=f"`server.{name}` is no setting") as caught:
        load({}, {}, file)
    assert "hidden-value" not in str(caught.value)


def test_the_documentation_shows_all_settings() -> None:
    assert f"{table()}\n<!-- /settings -->" in DOCS.read_text(encoding="utf-8").replace(
        "\n\n<", "\n<"
    )
