"""What becomes of a message to the outside after an attempt to send it (`runs.md` §9.3)."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from strait.clock import SECOND, Timestamp, to_timestamp

_SPREAD = 0.2
_LONGEST_PAUSE_SECS = 1_800
_MAX_ERROR_CHARS = 1_000
TOO_MANY_REQUESTS = 429


class Policy(Struct, frozen=True):
    """How often and when a kind of message is sent again.

    Attributes:
        max_attempts: after so many it is given up.
        first_pause_secs: the pause behind the first attempt.
        factor: what each further pause is longer by.
        patient: whether the address may ask for patience (429) in place of having refused.
    """

    max_attempts: int
    first_pause_secs: int
    factor: int
    patient: bool = False


POLICIES = {
    "webhook": Policy(3, 5, 5),  # to a subscription
    "job": Policy(3, 5, 5),  # to the `webhook_url` of a job
    "notice": Policy(5, 5, 5),  # to the `notify_url` of a wait
    "rotation": Policy(5, 5, 5),  # to the `rotation_webhook_url` of an API key
    "channel": Policy(3, 30, 4, patient=True),  # to a chat room
}
# What `/v1/webhooks/deliveries` shows; channels have a list of their own.
WEBHOOK_KINDS = ("webhook", "job", "notice", "rotation")


class Delivery(Struct, frozen=True, kw_only=True):
    """One message to one receiver, durable from the transaction that caused it on.

    Attributes:
        kind: a key of `POLICIES`.
        target_id: the subscription, job, wait, key or channel that says where to send it.
        address: scheme, host and port of the receiver: what may be shown, and is slow or down.
        body: what is sent, JSON text; sealed where `kind` is `rotation`.
        due_at: when it is sent next; "" once it is settled.
        subject_id: what it is about, beside a run: a workflow run, or an approval.
        replay_of: the first delivery of the same message, "" for that one itself.
    """

    id: str
    kind: str
    project_id: str
    target_id: str
    address: str
    event_type: str
    body: str
    created_at: Timestamp
    updated_at: Timestamp
    due_at: Timestamp
    max_attempts: int
    status: str = "pending"
    attempts: int = 0
    delivered_at: Timestamp = ""
    last_status_code: int = 0
    last_error: str = ""
    latency_ms: int = 0
    run_id: str = ""
    job_id: str = ""
    subject_id: str = ""
    replay_of: str = ""

    @property
    def origin_id(self) -> str:
        """The first delivery of the same message."""
        return self.replay_of or self.id


class Attempt(Struct, frozen=True):
    """What came of sending a message once.

    Attributes:
        status_code: what the receiver answered, or 0 where no answer came.
        error: why no answer came.
        latency_ms: how long it took.
        hopeless: whether no answer can ever come: there is no such address, or it is forbidden.
    """

    status_code: int
    error: str = ""
    latency_ms: int = 0
    hopeless: bool = False

    @property
    def arrived(self) -> bool:
        """Whether the receiver has taken it."""
        return 200 <= self.status_code < 300

    @property
    def is_down(self) -> bool:
        """Whether the receiver seems to be down, rather than unwilling."""
        return not self.hopeless and (self.status_code >= 500 or self.status_code == 0)


def settled(delivery: Delivery, attempt: Attempt, now: int, rand: float) -> Delivery:
    """Return what a delivery is after an attempt: delivered, dead, failed, or to be sent again.

    Who answers and does not want it makes it `dead`; who was down until the last attempt leaves it
    `failed`.
    """
    policy = POLICIES[delivery.kind]
    tried = replace(
        delivery,
        attempts=delivery.attempts + 1,
        updated_at=to_timestamp(now),
        last_status_code=attempt.status_code,
        last_error="" if attempt.arrived else _error(attempt),
        latency_ms=attempt.latency_ms,
        due_at="",
    )
    if attempt.arrived:
        return replace(tried, status="delivered", delivered_at=to_timestamp(now))
    asks_for_patience = policy.patient and attempt.status_code == TOO_MANY_REQUESTS
    if not attempt.is_down and not asks_for_patience:
        return replace(tried, status="dead")
    if tried.attempts >= tried.max_attempts:
        return replace(tried, status="failed")
    pause = pause_secs(policy, tried.attempts, rand)
    return replace(tried, due_at=to_timestamp(now + round(pause * SECOND)))


def given_up(delivery: Delivery, reason: str, now: int) -> Delivery:
    """Return a delivery that is not sent any more, without another attempt."""
    return replace(
        delivery, status="dead", last_error=reason, due_at="", updated_at=to_timestamp(now)
    )


def renewed(delivery: Delivery, now: int) -> Delivery:
    """Return a delivery that was given up, to be sent from its first attempt on."""
    stamp = to_timestamp(now)
    return replace(delivery, status="pending", attempts=0, due_at=stamp, updated_at=stamp)


def pause_secs(policy: Policy, attempts: int, rand: float) -> float:
    """Return the pause behind an attempt, spread by a fifth either way."""
    pause: float = policy.first_pause_secs * policy.factor ** (attempts - 1)
    return min(pause, _LONGEST_PAUSE_SECS) * (1 - _SPREAD + 2 * _SPREAD * rand)


def _error(attempt: Attempt) -> str:
    return (attempt.error or f"the receiver answered {attempt.status_code}")[:_MAX_ERROR_CHARS]
