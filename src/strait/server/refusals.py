"""What an embedded server does not serve, each with the reason that its 501 gives.

Served is what means something on one machine. What is neither served nor named here, no version of
the platform has ever routed.
"""

from __future__ import annotations

_SELLING = "nothing is sold here; it belongs to the hosted platform"
_MACHINES = "runs have no machine of their own here, so none has a price"

REASONS = {
    "activate-referral": _SELLING,
    "cdc-webhook": "changes are read from the ledger; no change data capture runs beside it",
    "create-referral-code": _SELLING,
    "get-compute-cost-analytics": _MACHINES,
    "get-cost-by-machine": _MACHINES,
    "get-cost-estimate": _MACHINES,
    "get-downgrade-preview": "there is no plan to go down from: nothing is limited by one",
    "get-email-preferences": "this server sends no mail",
    "list-plans": "there are no plans to subscribe to: nothing is limited by one",
    "list-referrals": _SELLING,
    "polar-webhook": _SELLING,
    "stripe-webhook": _SELLING,
    "update-email-preferences": "this server sends no mail",
}
