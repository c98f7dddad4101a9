"""What is served besides the API: the page, its files, and the way in.

`POST /dashboard/session` with an API key, or on loopback without one, begins a session;
`GET` tells whose it is, `DELETE` ends it. Everything else that the page does is the public API.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from msgspec import Struct, json

from strait._version import __version__
from strait.server import auth
from strait.server.dashboard import files, sessions, trust
from strait.server.errors import ApiError
from strait.server.http import NO_CONTENT, Call, Reply, reply
from strait.server.lockouts import Lockouts
from strait.server.platform import Platform
from strait.server.prefix import root_of
from strait.server.streaming import Receive, Scope, read_body
from strait.store import meta

# The first segments of the page's own addresses; what is none of them is no page.
PAGES = frozenset(
    {
        "", "runs", "workflow-runs", "approvals", "dead-letters", "jobs", "workflows", "events",
        "schedules", "costs", "webhooks", "settings", "system", "login",
    }
)  # fmt: skip
_SESSION = "/dashboard/session"
_MAX_LOGIN_BYTES = 4_096


class _Login(Struct, frozen=True):
    api_key: str = ""


class Dashboard:
    """Answers what is not the API's, and knows the callers that come with a session."""

    def __init__(self, platform: Platform, lockouts: Lockouts) -> None:
        self._platform = platform
        self._lockouts = lockouts
        self._files = files.Files()

    # ------------------------------------------------------------------------------------- pages

    async def answer(
        self, scope: Scope, path: str, headers: dict[bytes, bytes], receive: Receive
    ) -> Reply | None:
        """Answer a request for the page or its session; None leaves it to the API."""
        method = scope["method"]
        if path == _SESSION:
            return await self._session(method, scope, headers, receive)
        if method not in {"GET", "HEAD"}:
            return None
        if path.startswith(files.PREFIX):
            return self._files.asset(path.removeprefix(files.PREFIX), headers)
        if path.split("/", 2)[1] in PAGES:
            return self._files.index(self.root(headers), headers)
        return None

    def root(self, headers: dict[bytes, bytes]) -> str:
        """Return the path prefix that a page stands below, without a slash at its end."""
        return root_of(self._platform.settings, headers)

    # ----------------------------------------------------------------------------------- callers

    def caller(self, call: Call) -> tuple[str, meta.ApiKey | None] | None:
        """Return the key that a request's session stands for; None when it brings no cookie.

        Raises:
            ApiError: 401 for a session that is over, 403 for a page that is not of this server.
        """
        cookie = sessions.cookie_in(call.headers)
        if not cookie or b"x-internal-secret" in call.headers:
            return None
        if not trust.is_same_origin(call.headers, changes=call.route.method != "GET"):
            raise ApiError(403, "a session is only for pages of this server itself")
        session = sessions.find(self._platform.reader, cookie, call.now)
        if session is None:
            raise ApiError(401, "the session is over; log in again")
        return session.key_hash, self._platform.keys.by_hash(
            self._platform.reader, session.key_hash
        )

    # ---------------------------------------------------------------------------------- sessions

    async def _session(
        self, method: str, scope: Scope, headers: dict[bytes, bytes], receive: Receive
    ) -> Reply:
        if method == "GET":
            return self._told(headers)
        if not trust.is_same_origin(headers, changes=True):
            raise ApiError(403, "a session begins and ends on a page of this server itself")
        if method == "DELETE":
            return await self._end(headers)
        if method == "POST":
            return await self._begin(scope, headers, receive)
        return Reply(405, b"", ((b"allow", b"GET, POST, DELETE"),))

    def _told(self, headers: dict[bytes, bytes]) -> Reply:
        now = self._platform.clock.now()
        session = sessions.find(self._platform.reader, sessions.cookie_in(headers), now)
        if session is None:
            return NO_CONTENT
        return self._shown(session.key_hash, now)

    async def _begin(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> Reply:
        try:
            login = json.decode(await read_body(receive, headers, _MAX_LOGIN_BYTES), type=_Login)
        except ValueError as error:
            raise ApiError(400, "the body must be JSON with a text `api_key`") from error
        now = self._platform.clock.now()
        if login.api_key:
            key_hash = self._checked(login.api_key, (scope.get("client") or ("",))[0], now)
        elif self._platform.opening_key and trust.is_the_owner(
            scope, headers, self._platform.settings
        ):
            key_hash = self._platform.opening_key
        else:
            raise ApiError(401, "log in with an API key: this page is not on your own machine")
        shown = self._shown(key_hash, now)
        cookie = await self._platform.write(lambda unit: sessions.begin(unit, key_hash))
        return shown._replace(status=201, headers=(self._cookie(headers, cookie, scope),))

    async def _end(self, headers: dict[bytes, bytes]) -> Reply:
        cookie = sessions.cookie_in(headers)
        if cookie:
            await self._platform.write(lambda unit: sessions.end(unit, cookie))
        return NO_CONTENT._replace(headers=(self._cookie(headers, ""),))

    def _checked(self, key: str, address: str, now: int) -> str:
        """Return the digest of a key that is valid; guesses count as for any other call."""
        self._lockouts.check("api key", address, now)
        key_hash, record = self._platform.keys.find(self._platform.reader, key)
        try:
            auth.authenticate_key(record, now)
        except ApiError:
            self._lockouts.failed("api key", address, now)
            raise
        return key_hash

    def _shown(self, key_hash: str, now: int) -> Reply:
        """Say whose session it is: what the page needs to know, and nothing of the key."""
        record = self._platform.keys.by_hash(self._platform.reader, key_hash)
        caller = auth.authenticate_key(record, now)
        return reply(
            {
                "project_id": caller.project_id,
                "org_id": caller.org_id,
                "environment_id": caller.environment_id,
                "key_name": record.name if record is not None else "",
                "scopes": sorted(caller.scopes or {"*"}),
                "version": __version__,
            }
        )

    def _cookie(
        self, headers: dict[bytes, bytes], value: str, scope: Scope | None = None
    ) -> tuple[bytes, bytes]:
        # The browser says under which scheme it sees the page, whatever proxies know of it.
        origin = urlsplit(headers.get(b"origin", b"").decode("latin-1"))
        secure = origin.scheme == "https" or (scope or {}).get("scheme") == "https"
        host = headers.get(b"host", b"").decode("latin-1")
        path = f"{self.root(headers)}/"
        return b"set-cookie", sessions.set_cookie(host, value, path=path, secure=secure)
