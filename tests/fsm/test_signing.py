"""`strait.signing`: the platform's signature over `<timestamp>.<body>`."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strait.signing import rejection, sign, verify

SECRET = "esec_0123456789abcdef"
BODY = b'{"a": 2, "bb": 1}'
NOW = 1_767_225_600.0


def test_a_signature_is_the_hmac_that_the_contract_describes():
    digest = hmac.new(SECRET.encode(), b"1767225600." + BODY, hashlib.sha256).hexdigest()
    assert sign(SECRET, 1_767_225_600, BODY) == f"v1={digest}"


@given(secret=st.text(min_size=1), at=st.integers(0, 10**11), body=st.binary())
def test_what_was_signed_is_accepted_and_one_changed_byte_is_not(secret, at, body):
    signature = sign(secret, at, body)
    assert verify(secret, str(at), signature, body, now=at)
    assert not verify(secret, str(at), signature, body + b" ", now=at)
    assert not verify(secret, str(at + 1), signature, body, now=at)
    assert not verify(secret + "x", str(at), signature, body, now=at)


@pytest.mark.parametrize("age", [-301, 301])
def test_a_signature_from_another_time_is_stale(age):
    at = str(int(NOW + age))
    assert not verify(SECRET, at, sign(SECRET, at, BODY), BODY, now=NOW)
    assert "more than 300 s away" in rejection(SECRET, at, sign(SECRET, at, BODY), BODY, now=NOW)
    assert verify(SECRET, at, sign(SECRET, at, BODY), BODY, now=NOW, tolerance_secs=301)


def test_while_a_secret_is_rotated_the_old_and_the_new_one_hold():
    at = str(int(NOW))
    assert verify(["new", SECRET], at, sign(SECRET, at, BODY), BODY, now=NOW)
    assert not verify([], at, sign(SECRET, at, BODY), BODY, now=NOW)


@pytest.mark.parametrize(
    ("timestamp", "signature", "reason"),
    [
        ("", "v1=00", "the signature is missing"),
        ("1767225600", "", "the signature is missing"),
        ("yesterday", "v1=00", "the timestamp is not in unix seconds"),
        ("١٢٣", "v1=00", "the timestamp is not in unix seconds"),
        ("9" * 5000, "v1=00", "the timestamp is not in unix seconds"),
        ("1767225600", "v1=\u00e9\ud800", "the signature does not match"),
    ],
)
def test_what_cannot_be_a_signature_is_refused_with_a_reason(timestamp, signature, reason):
    assert rejection(SECRET, timestamp, signature, BODY, now=NOW) == reason


@given(timestamp=st.text(), signature=st.text(), body=st.binary())
def test_no_input_makes_verification_raise(timestamp, signature, body):
    assert verify(SECRET, timestamp, signature, body, now=NOW) is False
