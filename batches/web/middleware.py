"""What holds for every page: only our own files, nothing inline, and a clear answer to what can't be stored."""

from __future__ import annotations

import logging

from django.db import DataError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin
from django.views.defaults import bad_request

from batches.rendering.children import RenderingBusy
from batches.response_middleware import change_responses

logger = logging.getLogger(__name__)

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


class UnstorableValues(MiddlewareMixin):
    """Answers 400 with a page if PostgreSQL can't store or compare what a request has, such as a NUL (%00)."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, DataError):
            return None
        logger.warning("The database can't store what %s %s was given: %s", request.method, request.path, exception)
        return bad_request(request, exception)


class BusyRendering(MiddlewareMixin):
    """Answers 429 with a page if too many templates are being rendered."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, RenderingBusy):
            return None
        response = render(request, "429.html", {"sentence": str(exception)}, status=429)
        response.headers["Retry-After"] = str(exception.retry_seconds)
        return response
