"""`python -m examples.hosting.wsgi_app [PORT]`, or `app` with any WSGI server.

The server here is the standard library's, with a thread for each request.
"""

from __future__ import annotations

import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

from examples.hosting.jobs import JOBS, OPTIONS
from strait.serve import wsgi

app = wsgi(JOBS, **OPTIONS)


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    with make_server("127.0.0.1", port, app, Server) as server:
        server.serve_forever()
