"""Hosting in a Flask application.

from strait.serve.flask import blueprint

app.register_blueprint(blueprint([job]), url_prefix="/strait")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, request

from strait.serve.blocking import BlockingHost, headers_of, text_headers

if TYPE_CHECKING:
    from typing import Unpack

    from strait.serve.core import HostOptions, Source

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def blueprint(source: Source, *, name: str = "strait", **options: Unpack[HostOptions]) -> Blueprint:
    """Return a blueprint that hosts the handlers of jobs, at `jobs/{slug}` below its prefix.

    The thread of a request waits for its handler, so Flask's server needs a thread for each run
    that it works on at once. An application with `flask_wtf.CSRFProtect` has to exempt the
    blueprint: the platform signs what it sends instead.

    Args:
        source: definitions, one definition, or a module that has some.
        name: the name of the blueprint.
        **options: those of `strait.serve.asgi`.

    Raises:
        DefinitionError: two jobs have the same slug, one is no job, or an option is wrong.
    """
    host = BlockingHost(source, **options)
    made = Blueprint(name, __name__)

    def view(path: str = "") -> Response:
        length = request.content_length
        # The core refuses what is too large by its header.
        too_large = length is not None and length > host.max_body_bytes
        body = b"" if too_large else request.stream.read(host.max_body_bytes + 1)
        answer = host.answer(request.method, f"/{path}", headers_of(request.environ), body)
        return Response(answer.body, answer.status, text_headers(answer))

    made.add_url_rule("/", "root", view, methods=_METHODS)
    made.add_url_rule("/<path:path>", "host", view, methods=_METHODS)
    return made
