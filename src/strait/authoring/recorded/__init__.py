"""Durable steps: what a handler did is on record, and is not done again by a later attempt.

A handler is called again from its beginning after a crash, a wait or a failed attempt. What it did
by `ctx.step`, or by a `@step` function, is found on record in the run's state instead of being
done again; code outside of steps runs again.
"""

from __future__ import annotations

from strait.authoring.recorded.asked import StepNotAwaited
from strait.authoring.recorded.children import Spawn, SpawnedRun
from strait.authoring.recorded.decorator import StepFunction, step
from strait.authoring.recorded.errors import (
    ChildFailed,
    EventTimeout,
    StepFailed,
    StepMismatch,
    StepTimeout,
    StepValueTooLarge,
)
from strait.authoring.recorded.step import CurrentStep, current_step
from strait.authoring.recorded.values import BlobStore, Codec, DirectoryBlobs

__all__ = [
    "BlobStore",
    "ChildFailed",
    "Codec",
    "CurrentStep",
    "DirectoryBlobs",
    "EventTimeout",
    "Spawn",
    "SpawnedRun",
    "StepFailed",
    "StepFunction",
    "StepMismatch",
    "StepNotAwaited",
    "StepTimeout",
    "StepValueTooLarge",
    "current_step",
    "step",
]
