"""The Content-Security-Policy of our pages: only our own files, no inline script, no inline style."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

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


@sync_and_async_middleware
def content_security_policy(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Add PAGE_POLICY to each response of our pages that has no policy yet."""
    if iscoroutinefunction(get_response):

        async def respond_async(request: HttpRequest) -> HttpResponseBase:
            return _add_policy(request, await get_response(request))

        return respond_async

    def respond(request: HttpRequest) -> HttpResponseBase:
        return _add_policy(request, get_response(request))

    return respond
