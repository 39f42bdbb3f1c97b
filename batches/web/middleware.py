"""What holds for every answer: its headers of security, and what becomes of odd addresses.

The headers are the Content-Security-Policy (only our own files, nothing inline), what the browser may not offer a page,
and that nothing is kept in a cache.
"""

from __future__ import annotations

import logging

from django.conf import settings
from django.db import DataError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin

from batches.rendering.children import RenderingBusy
from batches.response_middleware import change_responses

logger = logging.getLogger(__name__)

PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'self'"
)
"""For each page, those of the admin and of the API's documentation among them: our own files, and nothing inline."""

MESSAGE_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; form-action 'none'; frame-ancestors 'self'"
)
"""For the HTML of a message: its styles are shown, and nothing in it can run, send or load from elsewhere.

A link that a person presses may open a new tab, if the frame around the message allows that too.
"""

MESSAGE_POLICY_WITH_PICTURES = MESSAGE_POLICY.replace("img-src data:", "img-src https: data:")
"""The same after a person asked for the pictures, which tells their server that somebody looks at the message."""

PROGRAMS = ("/api/", "/hooks/", "/metrics")
"""Addresses for programs, which read no pages."""

PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
"""What no page of ours needs (W3C Permissions Policy)."""


def message_policy(request: HttpRequest) -> str:
    """Return the policy of a message: pictures of other servers are loaded only if the request has ``pictures``."""
    has_asked = bool(request.POST.get("pictures") or request.GET.get("pictures"))
    policy = MESSAGE_POLICY_WITH_PICTURES if has_asked else MESSAGE_POLICY
    # Our own pictures tell nobody anything.
    return policy.replace("img-src", f"img-src {settings.PUBLIC_URL}/pictures/") if settings.PUBLIC_URL else policy


def _add_headers(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    response.headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
    response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    # Everything that Django answers may show personal data, except the words of the scripts (web/languages.py): their
    # address has a digest of them. Static files never come here.
    stated = response.headers.get("Cache-Control", "")
    if "no-store" not in stated and "immutable" not in stated:
        response.headers["Cache-Control"] = "no-store"
    return response


security_headers = change_responses(_add_headers)
"""The middleware that adds PAGE_POLICY to each response that has no policy of its own, and keeps each out of caches."""


class UnstorableValues(MiddlewareMixin):
    """Answers 400 with a page if an address or a form has what no program can store or compare.

    Such as a NUL (%00), which PostgreSQL refuses, a number of 5,000 digits, which Python refuses, or a time that is out
    of the calendar in some time zone.
    """

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, DataError | OverflowError) and not _has_too_many_digits(exception):
            return None
        kind = type(exception.__cause__ or exception).__name__  # its message may quote the value
        logger.warning("The database can't store what %s %s was given: %s", request.method, request.path, kind)
        return render(request, "400.html", status=400)


class MethodPages(MiddlewareMixin):
    """Shows a page to a person who opens the address of a button, which answers 405 without a word.

    A script and a program get the answer as it is.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        is_person = request.headers.get("Sec-Fetch-Dest", "document") == "document"
        if response.status_code != 405 or not is_person:
            return response
        if request.path_info.startswith(PROGRAMS) or "text/html" not in request.headers.get("Accept", ""):
            return response
        page = render(request, "405.html", status=405)
        page.headers["Allow"] = response.headers["Allow"]  # RFC 9110, 15.5.6
        return page


def _has_too_many_digits(exception: BaseException) -> bool:
    """Whether Python refused to read a number (sys.set_int_max_str_digits). Django raises its own error from that."""
    return any(
        isinstance(each, ValueError) and "integer string conversion" in str(each)[:100]
        for each in (exception, exception.__cause__)
    )


class BusyRendering(MiddlewareMixin):
    """Answers 429 with a page if too many templates are being rendered."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, RenderingBusy):
            return None
        response = render(request, "429.html", {"sentence": str(exception)}, status=429)
        response.headers["Retry-After"] = str(exception.retry_seconds)
        return response
