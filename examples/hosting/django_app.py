"""`python -m examples.hosting.django_app runserver --noreload`, or `application` with uvicorn.

It is a whole Django project in one file; the jobs are at `/strait/jobs/{slug}`.
"""

from __future__ import annotations

import sys

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.urls import include, path

from examples.hosting.jobs import JOBS, OPTIONS
from strait.serve.django import urls

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
    ROOT_URLCONF=__name__,
    # It signs nothing here that outlives the process.
    SECRET_KEY="only for this example",
)

urlpatterns = [path("strait/", include(urls(JOBS, **OPTIONS)))]
application = get_asgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
