"""What is really sent for a delivery: where to, under which headers, signed with which secrets.

All of it is looked up when it is sent, so that a receiver that was changed or deleted meanwhile is
sent nothing any more, and no secret lies beside the message.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import json

from strait import signing
from strait.clock import SECOND
from strait.engine.deliveries import Delivery
from strait.server.outbound import Header
from strait.server.vault import field_place, signing_place
from strait.store import jobs, meta, records, triggers

if TYPE_CHECKING:
    from strait.server.platform import Platform

SUBSCRIPTION = "webhook_subscription"
CHANNEL = "notification_channel"
ROTATION = "rotation_webhook"
_KEY_HEX_DIGITS = 32
_MAX_DISCORD_CHARS = 2_000
_MAX_SLACK_CHARS = 40_000


class Undeliverable(Exception):  # noqa: N818 - the name is the state that callers see
    """There is nobody to send it to any more; the text says why."""


class Envelope(NamedTuple):
    """A request that is ready to be sent."""

    url: str
    headers: list[Header]
    body: bytes


class Receiver(NamedTuple):
    """Who is sent something.

    Attributes:
        url: where to.
        body: what.
        secret: what signs it, or "".
        old_secret: what signs it too, while a secret is rotated.
    """

    url: str
    body: bytes
    secret: str = ""
    old_secret: str = ""


def envelope(platform: Platform, delivery: Delivery, now: int) -> Envelope:
    """Return the request of a delivery.

    Raises:
        Undeliverable: whoever was to get it is gone, or does not want it any more.
    """
    receiver = _RECEIVERS[delivery.kind](platform, delivery, now)
    headers = _facts(platform, delivery)
    if receiver.secret:
        headers += _signatures(receiver, now)
    return Envelope(receiver.url, headers, receiver.body)


def _facts(platform: Platform, delivery: Delivery) -> list[Header]:
    attempt = delivery.attempts + 1
    key = platform.token_key
    headers = {
        "X-Strait-Delivery-ID": delivery.id,
        "X-Strait-Attempt": f"{attempt}/{delivery.max_attempts}",
        "X-Strait-Idempotency-Key": "ik_" + _digest(key, f"{delivery.id}:{attempt}"),
        "X-Strait-Replay-Key": "rk_" + _digest(key, delivery.origin_id),
        "X-Run-ID": delivery.run_id,
        "X-Job-ID": delivery.job_id,
        "X-Strait-Trigger-ID": delivery.target_id if delivery.kind == "notice" else "",
    }
    return [(name.encode(), value.encode()) for name, value in headers.items() if value]


def _digest(key: str, text: str) -> str:
    return hmac.digest(key.encode(), b"delivery:" + text.encode(), "sha256").hex()[:_KEY_HEX_DIGITS]


def _signatures(receiver: Receiver, now: int) -> list[Header]:
    stamp = now // SECOND
    headers = [(b"X-Strait-Timestamp", str(stamp).encode())]
    for suffix, secret in ((b"", receiver.secret), (b"-Old", receiver.old_secret)):
        if secret:
            signature = signing.sign(secret, stamp, receiver.body).encode()
            headers += [
                (b"X-Strait-Signature" + suffix, signature),
                (b"X-Webhook-Signature" + suffix, signature),
            ]
    return headers


# -------------------------------------------------------------------------------------- receivers


def _subscription(platform: Platform, delivery: Delivery, now: int) -> Receiver:
    record = records.get(platform.reader, SUBSCRIPTION, delivery.target_id)
    if record is None:
        raise Undeliverable("the subscription was deleted")
    old = ""
    if now < int(record.fields.get("grace_until", 0)):
        old = _opened(platform, SUBSCRIPTION, record, "old_secret")
    secret = _opened(platform, SUBSCRIPTION, record, "signing_secret")
    return Receiver(record.fields["webhook_url"], delivery.body.encode(), secret, old)


def _job(platform: Platform, delivery: Delivery, now: int) -> Receiver:
    del now
    # Not from the cache: that is filled by the writer, who may be ahead of the reader.
    job = jobs.get(platform.reader, delivery.target_id)
    if job is None or not job.webhook_url:
        raise Undeliverable("the job has no webhook any more")
    sealed = jobs.signing_secret(platform.reader, job.id)
    secret = platform.vault.open(sealed, signing_place(job.id))
    return Receiver(job.webhook_url, delivery.body.encode(), secret)


def _notice(platform: Platform, delivery: Delivery, now: int) -> Receiver:
    del now
    trigger = triggers.load(platform.reader, delivery.target_id)
    if trigger is None:
        raise Undeliverable("the wait is gone")
    if trigger.status != "waiting" and delivery.attempts:
        # The first attempt is made in any case; afterwards there is nothing left to tell.
        raise Undeliverable("the wait is over")
    return Receiver(trigger.notify_url, delivery.body.encode())


def _rotation(platform: Platform, delivery: Delivery, now: int) -> Receiver:
    del now
    key = meta.key_by_id(platform.reader, delivery.target_id)
    secret = records.get(platform.reader, ROTATION, delivery.target_id)
    if key is None or secret is None or key.revoked_at:
        raise Undeliverable("the key was revoked")
    body = platform.vault.open(delivery.body, sealed_place(delivery.id))
    signed_with = _opened(platform, ROTATION, secret, "secret")
    return Receiver(key.rotation_webhook_url, body.encode(), signed_with)


def _channel(platform: Platform, delivery: Delivery, now: int) -> Receiver:
    del now
    record = records.get(platform.reader, CHANNEL, delivery.target_id)
    if record is None:
        raise Undeliverable("the channel was deleted")
    if not record.fields.get("enabled", True):
        raise Undeliverable("the channel is disabled")
    config: dict[str, str] = json.decode(_opened(platform, CHANNEL, record, "config"))
    match record.fields["channel_type"]:
        case "slack":
            text = in_words(delivery)[:_MAX_SLACK_CHARS]
            return Receiver(config["webhook_url"], json.encode({"text": text}))
        case "discord":
            text = in_words(delivery)[:_MAX_DISCORD_CHARS]
            return Receiver(config["webhook_url"], json.encode({"content": text}))
        case _:
            body = json.encode(_whole(delivery))
            return Receiver(config["url"], body, config.get("secret", ""))


def _whole(delivery: Delivery) -> dict[str, Any]:
    return {
        "type": delivery.event_type,
        "project_id": delivery.project_id,
        "timestamp": delivery.created_at,
        "data": json.decode(delivery.body),
    }


def in_words(delivery: Delivery) -> str:
    """Return an event as people read it in a chat: what happened, then one fact a line."""
    facts: dict[str, Any] = json.decode(delivery.body)
    lines = [f"{name}: {_plain(value)}" for name, value in facts.items() if value not in _NOTHING]
    return "\n".join([f"Strait: {delivery.event_type}", *lines])


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.encode(value).decode()


_NOTHING: tuple[object, ...] = (None, "", [], {})


def sealed_place(delivery_id: str) -> str:
    """Return the place that the body of a delivery is sealed for, where it holds a secret."""
    return f"delivery:{delivery_id}"


def _opened(platform: Platform, kind: str, record: records.Record, name: str) -> str:
    return platform.vault.open(record.sealed.get(name, ""), field_place(kind, record.id, name))


_RECEIVERS: dict[str, Callable[[Platform, Delivery, int], Receiver]] = {
    "webhook": _subscription,
    "job": _job,
    "notice": _notice,
    "rotation": _rotation,
    "channel": _channel,
}
