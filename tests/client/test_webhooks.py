"""Webhooks are believed only if they are signed, fresh, and whole."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strait import DecodeError
from strait.signing import sign
from strait.webhooks import WebhookSignatureError, unwrap

NOW = 1_800_000_000
SECRET = "whsec_1"
BODY = json.dumps({"type": "run.failed", "run_id": "run_1", "error": "boom"}).encode()


def headers(body: bytes = BODY, secret: str = SECRET, at: int = NOW) -> dict[str, str]:
    return {
        "X-Strait-Timestamp": str(at),
        "X-Strait-Signature": sign(secret, at, body),
        "X-Strait-Delivery-ID": "del_1",
        "X-Strait-Replay-Key": "rk_1",
        "X-Strait-Attempt": "1/3",
    }


def test_a_genuine_webhook_is_read() -> None:
    event = unwrap(BODY, headers(), SECRET, now=NOW + 10)
    assert (event.type, event.data["run_id"]) == ("run.failed", "run_1")
    assert (event.delivery_id, event.replay_key, event.attempt) == ("del_1", "rk_1", "1/3")
    lowered = {name.lower(): value for name, value in headers().items()}
    assert unwrap(BODY.decode(), lowered, [SECRET], now=NOW).data == event.data


def test_any_secret_is_good_while_one_is_rotated() -> None:
    assert unwrap(BODY, headers(secret="whsec_2"), [SECRET, "whsec_2"], now=NOW).type
    both = {**headers(secret="whsec_new"), "X-Strait-Signature-Old": sign(SECRET, NOW, BODY)}
    assert unwrap(BODY, both, SECRET, now=NOW).type == "run.failed"


@pytest.mark.parametrize(
    ("wrong", "now", "reason"),
    [
        (headers(secret="other"), NOW, "does not match"),
        (headers(BODY + b" "), NOW, "does not match"),
        ({**headers(), "X-Strait-Timestamp": str(NOW + 1)}, NOW, "does not match"),
        (headers(), NOW + 301, "more than 300 s away"),
        (headers(), NOW - 301, "more than 300 s away"),
        ({}, NOW, "is missing"),
    ],
)
def test_what_is_not_genuine_or_not_fresh_is_refused(
    wrong: dict[str, str], now: int, reason: str
) -> None:
    with pytest.raises(WebhookSignatureError, match=reason) as caught:
        unwrap(BODY, wrong, SECRET, now=now)
    assert SECRET not in str(caught.value)


def test_how_fresh_is_for_the_caller_to_say() -> None:
    assert unwrap(BODY, headers(), SECRET, now=NOW + 900, tolerance_secs=1000).type
    with pytest.raises(WebhookSignatureError):
        unwrap(BODY, headers(), SECRET, now=NOW + 6, tolerance_secs=5)


@pytest.mark.parametrize("secrets", ["", [], [""], [SECRET, ""]])
def test_without_a_secret_nothing_is_checked_so_nothing_is_read(secrets: str | list[str]) -> None:
    with pytest.raises(ValueError, match="`secrets` must be"):
        unwrap(BODY, headers(), secrets, now=NOW)


@given(st.binary(max_size=200).filter(lambda body: not body.strip().startswith(b"{")))
def test_a_genuine_body_that_is_no_object_is_a_decode_error(body: bytes) -> None:
    with pytest.raises(DecodeError):
        unwrap(body, headers(body), SECRET, now=NOW)
