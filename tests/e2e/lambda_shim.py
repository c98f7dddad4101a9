"""What stands before a function in AWS: HTTP requests become events, replies become answers.

    python -m tests.e2e.lambda_shim PORT examples.hosting.lambda_function:handler

Paths decide which shape an event has: below `/v1` that of a REST API, below `/alb` that of a load
balancer, all others that of a function URL.
"""

from __future__ import annotations

import base64
import importlib
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Context:
    """What a function is told of itself."""

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def event(method: str, path: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """Return the event for a request."""
    said = {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    if path.startswith("/v1/"):
        return {**said, "httpMethod": method, "path": path[3:], "headers": headers}
    if path.startswith("/alb/"):
        values = {name: [value] for name, value in headers.items()}
        return {**said, "httpMethod": method, "path": path[4:], "multiValueHeaders": values}
    context = {"http": {"method": method, "path": path}, "stage": "$default"}
    return {
        **said,
        "version": "2.0",
        "rawPath": path,
        "headers": headers,
        "requestContext": context,
    }


def main(port: str, target: str) -> None:
    """Serve a function."""
    module, _, name = target.partition(":")
    function = getattr(importlib.import_module(module), name)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            # Functions get the names of headers in lower case.
            headers = {key.lower(): value for key, value in self.headers.items()}
            reply = function(event(self.command, self.path, headers, body), Context())
            self.send_response(reply["statusCode"])
            values = reply.get("multiValueHeaders") or {}
            for key, value in (
                reply.get("headers") or {k: v[0] for k, v in values.items()}
            ).items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(reply["body"].encode())

        do_GET = do_POST

        def log_message(self, *args: object) -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
