"""The Content-Security-Policy of our pages: only our own files, no inline script, no inline style."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase

from batches.middleware import change_responses

PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'self'"
)
MESSAGE_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; frame-ancestors 'self'"
"""For the HTML of a message: its styles and pictures are shown, and nothing in it can run, send or navigate."""

THIRD_PARTY_PATHS = ("/admin/", "/api/", "/metrics")
"""Third-party pages use inline scripts and styles, so our policy does not apply there."""


def _add_policy(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if not request.path.startswith(THIRD_PARTY_PATHS):
        response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    return response


content_security_policy = change_responses(_add_policy)
"""The middleware that adds PAGE_POLICY to each response that has no policy of its own."""
