"""Settings: arguments over environment over file, and no token from a file or in a text."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from strait import (
    AsyncClient,
    AuthMode,
    AuthType,
    Client,
    ConfigurationError,
    Middleware,
    ValidationError,
    config_from_env,
    config_from_file,
)
from strait.config import explain
from strait.errors import ConfigFileNotFoundError

from .conftest import JOB, KEY, Harness, Platform

VARIABLES = ("BASE_URL", "API_KEY", "AUTH_TYPE", "TIMEOUT_MS", "PROJECT")
Kind = type[Client] | type[AsyncClient]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(f"STRAIT_{name}", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=[Client, AsyncClient])
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


def write(folder: Path, document: Any, name: str = "strait.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(document), "utf-8")
    return path


FILE = {
    "project": {"id": "proj_1"},
    "sdk": {"base_url": "https://file.test/", "auth_type": "bearer", "timeout_ms": 5000},
}


def test_a_file_is_found_in_the_working_directory_a_folder_or_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    monkeypatch.setenv("STRAIT_API_KEY", "k")
    write(tmp_path, FILE)
    other = tmp_path / "other"
    other.mkdir()
    named = write(other, {"sdk": {"base_url": "https://named.test"}}, "custom.json")
    write(other, {"sdk": {"base_url": "https://other.test"}})
    assert kind.from_file().base_url == "https://file.test"
    assert kind.from_file(search_dir=str(other)).base_url == "https://other.test"
    assert kind.from_file(path=str(named)).base_url == "https://named.test"
    assert kind.from_file().project_id == "proj_1"


def test_what_is_no_path_and_no_project_is_named(kind: Kind) -> None:
    wrong: Any = 5
    with pytest.raises(ConfigurationError, match="`path` must be a path, not 5"):
        kind.from_file(path=wrong)
    with pytest.raises(ConfigurationError, match="`search_dir` must be a path, not 5"):
        kind.from_file(search_dir=wrong)
    with pytest.raises(ConfigurationError, match="`project_id` must be a text, not 5"):
        kind(base_url="http://x.test", api_key="k", project_id=wrong)


def test_the_environment_wins_over_the_file_and_arguments_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, FILE)
    monkeypatch.setenv("STRAIT_API_KEY", "from-env")
    config = config_from_file()
    assert (config.base_url, config.timeout_ms) == ("https://file.test", 5000)
    assert config.auth == AuthMode(AuthType.BEARER, "from-env")
    monkeypatch.setenv("STRAIT_BASE_URL", "https://env.test")
    monkeypatch.setenv("STRAIT_AUTH_TYPE", "runToken")
    monkeypatch.setenv("STRAIT_TIMEOUT_MS", "7000")
    config = config_from_file()
    assert (config.base_url, config.timeout_ms) == ("https://env.test", 7000)
    assert config.auth == AuthMode(AuthType.RUN_TOKEN, "from-env")
    with Client.from_file(base_url="https://argument.test") as client:
        assert client.base_url == "https://argument.test"


def test_a_token_in_a_file_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, {"sdk": {"api_key": "s3cret", "token": "s3cret"}})
    assert config_from_file().auth is None
    with pytest.raises(ConfigurationError, match="STRAIT_API_KEY"):
        Client.from_file()


def test_a_file_without_a_token_is_enough_when_one_is_given(tmp_path: Path, kind: Kind) -> None:
    write(tmp_path, FILE)
    assert kind.from_file(api_key="k").base_url == "https://file.test"
    assert kind.from_file(auth=AuthMode.none()).base_url == "https://file.test"


def test_arguments_satisfy_what_the_environment_lacks(kind: Kind) -> None:
    client = kind.from_env(base_url="https://argument.test", api_key="k")
    assert client.base_url == "https://argument.test"
    with pytest.raises(ConfigurationError) as caught:
        kind.from_env()
    assert caught.value.issues == ["`STRAIT_BASE_URL` is not set", "`STRAIT_API_KEY` is not set"]
    with pytest.raises(ConfigurationError):
        config_from_env()


@pytest.mark.parametrize("name", ["api_key", "run_token", "bearer_token"])
def test_a_given_token_wins_over_the_environment(
    monkeypatch: pytest.MonkeyPatch, platform: Platform, name: str
) -> None:
    monkeypatch.setenv("STRAIT_BASE_URL", "https://env.test")
    monkeypatch.setenv("STRAIT_API_KEY", "from-env")
    platform.answers_with(200, JOB)
    http = httpx.Client(transport=httpx.MockTransport(platform.handle))
    overrides: dict[str, Any] = {name: "given", "http_client": http}
    with Client.from_env(**overrides) as client:
        client.jobs.get("job_1")
    assert platform.last.headers["authorization"] == "Bearer given"


@pytest.mark.parametrize(
    "document",
    [
        [],
        "x",
        {"sdk": "x"},
        {"sdk": []},
        {"project": 5},
        {"sdk": {"base_url": None}},
        {"sdk": {"base_url": 5}},
        {"sdk": {"base_url": "ftp://x"}},
        {"sdk": {"auth_type": "apikey"}},
        {"sdk": {"timeout_ms": "5000"}},
        {"sdk": {"timeout_ms": None}},
        {"sdk": {"timeout_ms": -5}},
        {"sdk": {"timeout_ms": 0}},
        {"sdk": {"timeout_ms": True}},
        {"sdk": {"timeout_ms": 1.5}},
    ],
)
def test_a_wrong_file_is_an_error_that_names_the_file(tmp_path: Path, document: Any) -> None:
    write(tmp_path, document)
    with pytest.raises(ConfigurationError, match=r"strait\.json"):
        config_from_file()


def test_a_file_that_cannot_be_read_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        config_from_file()
    assert isinstance(missing.value, ConfigurationError)
    (tmp_path / "strait.json").mkdir()
    with pytest.raises(ConfigurationError):
        config_from_file()
    (tmp_path / "broken.json").write_bytes(b"{")
    with pytest.raises(ConfigurationError, match="invalid JSON"):
        config_from_file(path="broken.json")
    (tmp_path / "latin.json").write_bytes(b'{"sdk":{"base_url":"\xe9"}}')
    with pytest.raises(ConfigurationError):
        config_from_file(path="latin.json")


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "strait.json").write_text(json.dumps(FILE), "utf-8-sig")
    assert config_from_file().base_url == "https://file.test"


@pytest.mark.parametrize("value", ["0", "-1", "1_000", "abc", "1.5", "٣"])
def test_a_wrong_timeout_in_the_environment_is_an_error(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("STRAIT_TIMEOUT_MS", value)
    monkeypatch.setenv("STRAIT_BASE_URL", "https://env.test")
    monkeypatch.setenv("STRAIT_API_KEY", "k")
    with pytest.raises(ConfigurationError, match="STRAIT_TIMEOUT_MS"):
        config_from_env()


@pytest.mark.parametrize("value", [0, -1, True, "5", 1.5])
def test_a_wrong_timeout_argument_is_an_error(kind: Kind, value: Any) -> None:
    with pytest.raises(ConfigurationError, match="timeout_ms"):
        kind(api_key="k", timeout_ms=value)


@pytest.mark.parametrize(
    "url",
    ["https://x.test?x=1", "https://x.test/#f", "https://u:p@x.test", "x.test", "http://", "a b"],
)
def test_an_address_with_more_than_host_and_path_is_refused(kind: Kind, url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        kind(base_url=url, api_key="k")
    assert "u:p" not in str(caught.value)


def test_the_hosted_platform_is_the_default_and_a_prefix_is_kept(
    either: Harness, platform: Platform, kind: Kind
) -> None:
    assert kind(api_key="k").base_url == "https://api.strait.dev"
    platform.answers_with(200, JOB)
    client = either.client(base_url="https://x.test/prefix/")
    either.run(lambda: client.jobs.get("job_1"))
    assert str(platform.last.url) == "https://x.test/prefix/v1/jobs/job_1"


def test_a_client_without_a_credential_is_refused_at_once(kind: Kind) -> None:
    with pytest.raises(ConfigurationError, match="api_key"):
        kind()
    with pytest.raises(ConfigurationError, match="empty"):
        kind(api_key=" ")
    with pytest.raises(ConfigurationError, match="one credential"):
        kind(api_key="a", run_token="b")


def test_no_credential_is_sent_where_none_is_wanted(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, {"status": "up"})
    client = either.client(auth=AuthMode.none())
    either.run(client.health.list)
    assert "authorization" not in platform.last.headers


def test_blanks_around_a_token_are_cut(either: Harness, platform: Platform) -> None:
    platform.answers_with(200, JOB)
    client = either.client(api_key="  s3cret\n")
    either.run(lambda: client.jobs.get("job_1"))
    assert platform.last.headers["authorization"] == "Bearer s3cret"


@pytest.mark.parametrize("token", ["s3cret\nX: y", "s3cret é", "s3 cret"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Client(api_key=token)
    assert "s3" not in str(caught.value)


@pytest.mark.parametrize("headers", [{"X-A": "é"}, {"X A": "b"}, {"X-A": "a\nb"}, {"X-A": 5}])
def test_a_header_that_no_request_can_carry_is_refused(kind: Kind, headers: Any) -> None:
    with pytest.raises(ValidationError, match="header"):
        kind(api_key="k", default_headers=headers)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_url": 5}, r"`base_url` must be an http\(s\) address, not 5"),
        ({"default_headers": ["x"]}, "headers must be a mapping of names to texts, not `list`"),
        ({"middleware": Middleware()}, "`middleware` must be a list"),
        ({"middleware": [5]}, "an entry of `middleware` must be `Middleware` or a function"),
        ({"retry": 3}, "`retry` must be `RetryOptions`"),
        ({"limits": 5}, r"`limits` must be `httpx.Limits\(…\)`, not `int`"),
        ({"proxy": 5}, r"`proxy` must be an http\(s\) or socks5 address"),
        ({"tracer": object()}, r"`tracer` must be a tracer of OpenTelemetry, .*get_tracer"),
        ({"meter": object()}, r"`meter` must be a meter of OpenTelemetry, .*get_meter"),
    ],
)
def test_an_argument_of_another_kind_is_told_when_the_client_is_made(
    kind: Kind, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        kind(**{"api_key": KEY, **options})


def test_a_token_is_never_shown(
    either: Harness, platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="strait")
    platform.answers_with(500, {"error": {"code": "internal_error", "message": "x"}})
    client = either.client(api_key="strait_s3cret")
    with pytest.raises(Exception, match="internal_error") as caught:
        either.run(lambda: client.jobs.get("job_1"))
    shown = [
        repr(client),
        str(client),
        repr(caught.value),
        str(caught.value.__notes__),
        repr(AuthMode(AuthType.API_KEY, "strait_s3cret")),
        caplog.text,
    ]
    assert not any("s3cret" in text for text in shown)


def test_a_client_of_the_other_kind_is_refused_as_http_client() -> None:
    with pytest.raises(ValidationError, match=r"httpx\.Client"):
        Client(api_key="k", http_client=httpx.AsyncClient())  # type: ignore[arg-type] # on purpose
    with (
        httpx.Client() as http,
        pytest.raises(ValidationError, match=r"httpx\.AsyncClient"),
    ):
        AsyncClient(api_key="k", http_client=http)  # type: ignore[arg-type] # on purpose
    with pytest.raises(ValidationError, match="http_client"):
        Client(api_key="k", http_client=object())  # type: ignore[arg-type] # on purpose


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in list(os.environ):
        if name.startswith("STRAIT_"):
            monkeypatch.delenv(name)
    file = tmp_path / "strait.json"
    sections = {
        "staging": {"base_url": "https://staging.test", "api_key_env": "STAGING_KEY"},
        "slow": {"timeout_ms": 60_000},
    }
    file.write_text(
        json.dumps({"sdk": {"base_url": "https://prod.test"}, "environments": sections})
    )
    return str(file)


@pytest.mark.parametrize("make", [Client, AsyncClient])
def test_a_profile_has_its_own_address_and_key(
    profiles: str, monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    monkeypatch.setenv("STRAIT_API_KEY", "strait_prod")
    monkeypatch.setenv("STAGING_KEY", "strait_staging")
    client = make.from_file(profiles, profile="staging")
    assert client.base_url == "https://staging.test"
    # The key of one platform must not be sent to another.
    assert client._settings.headers["authorization"] == "Bearer strait_staging"
    monkeypatch.setenv("STRAIT_PROFILE", "slow")
    assert make.from_file(profiles)._settings.timeout == 60.0
    assert make.from_file(profiles).base_url == "https://prod.test"


def test_a_profile_that_is_wrong_says_what_there_is(
    profiles: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="no profile 'prod'; it has `slow`, `staging`"):
        Client.from_file(profiles, profile="prod", api_key=KEY)
    monkeypatch.setenv("STRAIT_API_KEY", "strait_prod")
    with pytest.raises(ConfigurationError, match="`STAGING_KEY` is not set"):
        Client.from_file(profiles, profile="staging")


def test_every_setting_is_explained_and_no_token_is_shown(
    profiles: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGING_KEY", "strait_staging")
    monkeypatch.setenv("STRAIT_TIMEOUT_MS", "1000")
    told = {s.name: (s.value, s.source) for s in explain(profiles, profile="staging")}
    assert told == {
        "base_url": ("https://staging.test", f"`{profiles}`: `environments.staging.base_url`"),
        "token": ("set", "`STAGING_KEY`"),
        "auth_type": ("apiKey", "default"),
        "timeout_ms": ("1000", "`STRAIT_TIMEOUT_MS`"),
        "project_id": ("not set", "default"),
    }


def test_without_a_file_the_environment_is_explained(
    profiles: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(profiles).unlink()
    assert {s.source for s in explain()} == {"default"}
    with pytest.raises(ConfigFileNotFoundError):
        explain(profiles)


@pytest.mark.parametrize("make", [Client, AsyncClient])
def test_a_client_takes_what_it_is_not_given_from_the_environment(
    profiles: str, monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    monkeypatch.setenv("STRAIT_API_KEY", "strait_env")
    monkeypatch.setenv("STRAIT_BASE_URL", "https://env.test")
    monkeypatch.setenv("STRAIT_TIMEOUT_MS", "soon")
    client = make(timeout_ms=5)
    assert client.base_url == "https://env.test"
    assert client._settings.headers["authorization"] == "Bearer strait_env"
    given = make(base_url="https://given.test", api_key=KEY, timeout_ms=5)
    assert given.base_url == "https://given.test"
    assert given._settings.headers["authorization"] == f"Bearer {KEY}"
    with pytest.raises(ConfigurationError, match="STRAIT_TIMEOUT_MS"):
        make()
