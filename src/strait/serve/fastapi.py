"""Hosting in a FastAPI application.

from strait.serve.fastapi import mount

mount(app, [job])
"""

from __future__ import annotations

from strait.serve.starlette import mount

__all__ = ["mount"]
