"""Credentials that change: a token is asked for when it is needed, and anew after a 401."""

from __future__ import annotations

import asyncio
import inspect
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from strait.config import AuthMode, AuthType
from strait.errors import ConfigurationError, StraitError

TokenSource: TypeAlias = Callable[[], str | Awaitable[str]]
"""Returns the token that is good now; for an `AsyncClient` it may be a coroutine function."""


class Credential:
    """A source of tokens, and the token that it gave last.

    However many calls need a new token at once, the source is asked for one only.

    Args:
        kind: what kind of token comes.
        source: what returns it.
    """

    __slots__ = ("_kind", "_lock", "_loops", "_source", "_token")

    def __init__(self, kind: AuthType, source: TokenSource) -> None:
        self._kind = kind
        self._source = source
        self._token: str | None = None
        self._lock = threading.Lock()
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]
        self._loops = weakref.WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"Credential({self._kind.value!r})"

    def token(self, stale: str | None) -> str:
        """Return the token, asked for anew if there is none or the last one is `stale`.

        Raises:
            ConfigurationError: the source failed, or gave something that is no token.
        """
        with self._lock:
            if self._token is None or self._token == stale:
                self._token = self._checked(self._asked())
            return self._token

    async def token_async(self, stale: str | None) -> str:
        """Return the token like `token`, and await what the source returns if it has to be.

        Raises:
            ConfigurationError: the source failed, or gave something that is no token.
        """
        lock = self._loops.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        async with lock:
            if self._token is None or self._token == stale:
                answer = self._asked()
                if inspect.isawaitable(answer):
                    try:
                        answer = await answer
                    except Exception as error:
                        raise self._failed(error) from error
                self._token = self._checked(answer)
            return self._token

    def _asked(self) -> str | Awaitable[str]:
        try:
            return self._source()
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> StraitError:
        # What the source says is not repeated: it may have the old token in it.
        return ConfigurationError(f"the source of the token failed with {type(error).__name__}")

    def _checked(self, answer: object) -> str:
        if inspect.iscoroutine(answer):
            answer.close()
            raise ConfigurationError(
                "the source of the token is a coroutine function: it needs an `AsyncClient`"
            )
        return AuthMode(self._kind, answer if isinstance(answer, str) else "").token
