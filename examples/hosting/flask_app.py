"""`flask --app examples.hosting.flask_app run`; the jobs are at `/strait/jobs/{slug}`."""

from __future__ import annotations

from flask import Flask

from examples.hosting.jobs import JOBS, OPTIONS
from strait.serve.flask import blueprint

app = Flask(__name__)
app.register_blueprint(blueprint(JOBS, **OPTIONS), url_prefix="/strait")
