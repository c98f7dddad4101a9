"""`examples.hosting.lambda_function.handler` for AWS Lambda; the jobs are at `/jobs/{slug}`."""

from __future__ import annotations

from examples.hosting.jobs import JOBS, OPTIONS
from strait.serve import aws_lambda

handler = aws_lambda(JOBS, **OPTIONS)
