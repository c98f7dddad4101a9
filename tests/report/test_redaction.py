"""What must not leave with a run does not, wherever in the document it stands."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strait.redaction import HIDDEN, hidden_at, looks_secret, redacted, redacted_document

from .documents import document, step


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "apiKey",
        "api_key",
        "client_secret",
        "ACCESS-KEY",
        "Authorization",
        "refreshToken",
    ],
)
def test_keys_of_secrets_are_known_in_any_spelling(key: str) -> None:
    assert looks_secret(key)


@pytest.mark.parametrize("key", ["prompt_tokens", "keyboard", "idempotency_key", "secretary", "id"])
def test_other_keys_are_not_taken_for_secrets(key: str) -> None:
    assert not looks_secret(key)


def test_a_path_hides_whatever_lies_under_it_at_any_depth() -> None:
    value = {"order": {"card": {"number": 4242, "kind": "visa"}}, "items": [{"price": 3}]}
    assert redacted(value, ["card.number", "items.*.price"]) == {
        "order": {"card": {"number": HIDDEN, "kind": "visa"}},
        "items": [{"price": HIDDEN}],
    }


def test_what_is_hidden_at_one_place_is_hidden_in_every_text() -> None:
    value = {
        "payload": {"card": "4242-4242-4242"},
        "log": "charging 4242-4242-4242 now",
        "steps": [{"output": ["4242-4242-4242"]}],
    }
    assert "4242" not in json.dumps(redacted(value, ["payload.card"]))


def test_short_texts_and_words_of_the_platform_stay_elsewhere() -> None:
    value = {
        "password": "ok",
        "other": "ok",
        "state": {"token": "completed"},
        "status": "completed",
    }
    assert redacted(value) == {
        "password": HIDDEN,
        "other": "ok",
        "state": {"token": HIDDEN},
        "status": "completed",
    }


@pytest.mark.parametrize(
    "token",
    [
        "strait_" + "a1" * 20,
        "sk-live-" + "x" * 20,
        "ghp_" + "A" * 36,
        "AKIA" + "B" * 16,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    ],
)
def test_tokens_of_known_forms_are_hidden_inside_of_texts(token: str) -> None:
    assert redacted({"message": f"called with {token}!"}) == {"message": f"called with {HIDDEN}!"}


def test_a_private_key_and_a_bearer_token_are_hidden() -> None:
    pem = "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----"
    assert redacted(["x " + pem, "Authorization: Bearer abcdefghijkl"]) == [
        f"x {HIDDEN}",
        f"Authorization: Bearer {HIDDEN}",
    ]


def test_the_paths_of_a_step_hold_for_its_output_and_for_the_rest() -> None:
    one = step("charge", 1, 2, output={"card": {"number": "4111 1111"}}, fingerprint="f")
    one["redact"] = ["card.number"]
    whole = step("draw", 1, 2, output="a whole answer", fingerprint="f", redact=["$"])
    found = redacted_document(document(steps=[one, whole], run={"result": "paid with 4111 1111"}))
    assert found["steps"][0]["output"] == {"card": {"number": HIDDEN}}
    assert found["steps"][1]["output"] == HIDDEN
    assert found["run"]["result"] == f"paid with {HIDDEN}"


def test_a_path_goes_through_lists_and_may_name_a_place_in_one() -> None:
    value = {"cards": [{"number": 1}, {"number": 2}], "rows": [["a"], ["b"]]}
    assert redacted(value, ["cards.number"])["cards"] == [{"number": HIDDEN}, {"number": HIDDEN}]
    assert redacted(value, ["cards.1.number"])["cards"] == [{"number": 1}, {"number": HIDDEN}]
    assert redacted(value, ["rows.*"])["rows"] == [HIDDEN, HIDDEN]


def test_a_path_hides_in_what_users_gave_and_not_in_the_words_of_the_platform() -> None:
    one = step("charge", 1, 2, output={"name": "Ada", "at": 5})
    told = [
        {"type": "log", "message": "m", "data": {"name": "Ada"}, "created_at": ""},
        {"type": "step", "message": "m", "data": {"name": "charge"}, "created_at": ""},
    ]
    found = redacted_document(
        document(
            run={"payload": {"name": "Ada", "id": 3}, "result": [{"name": "Ada"}]},
            steps=[one],
            events=told,
            state=[{"key": "name", "value": "Ada"}, {"key": "other", "value": {"at": 4}}],
            kept=[{"key": "strait.step.0.ab", "value": {**one, "fingerprint": "f"}}],
            checkpoints=[{"sequence": 1, "state": [{"name": "Ada"}]}],
        ),
        ["name", "at", "key", "id"],
    )
    assert found["steps"][0]["name"] == "charge"
    assert (found["job"]["name"], found["run"]["id"]) == ("Order", "run_1")
    assert found["steps"][0]["at"] == "orders.py:7"
    assert found["steps"][0]["output"] == {"name": HIDDEN, "at": HIDDEN}
    assert found["run"]["payload"] == {"name": HIDDEN, "id": HIDDEN}
    assert found["run"]["result"] == [{"name": HIDDEN}]
    assert [event["data"] for event in found["events"]] == [{"name": HIDDEN}, {"name": "charge"}]
    assert found["state"] == [
        {"key": "name", "value": HIDDEN},
        {"key": "other", "value": {"at": HIDDEN}},
    ]
    assert found["kept"][0]["value"]["name"] == "charge"
    assert found["kept"][0]["value"]["output"] == {"name": HIDDEN, "at": HIDDEN}
    assert found["checkpoints"] == [{"sequence": 1, "state": [{"name": HIDDEN}]}]


def test_a_whole_value_of_a_user_goes_by_its_own_name() -> None:
    found = redacted_document(document(), ["result"])
    assert found["run"]["result"] == HIDDEN


def test_the_paths_of_a_step_begin_at_its_output() -> None:
    value = {"card": {"number": 4}, "cards": [{"number": 1}], "number": 7, "token": "kept-text"}
    assert hidden_at(value, ["card.number", "cards.number"]) == {
        "card": {"number": HIDDEN},
        "cards": [{"number": HIDDEN}],
        "number": 7,
        "token": "kept-text",
    }
    assert hidden_at([{"number": 1}], ["number"]) == [{"number": HIDDEN}]
    assert hidden_at({"a": {"number": 1}}, ["number"]) == {"a": {"number": 1}}
    assert hidden_at(value, [""]) == HIDDEN


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(secret=st.text("abcdef0123456789", min_size=12, max_size=20), around=_json)
def test_a_secret_is_nowhere_in_what_is_left(secret: str, around: object) -> None:
    value = {"password": secret, "around": around, "said": [f"<{secret}>", {"k": secret}]}
    assert secret not in json.dumps(redacted(value))
