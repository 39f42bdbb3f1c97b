"""The answer to a request whose body is refused, and the refusals that are about the body alone.

The answer is written before there is a Django request, so no template can be rendered.
"""

from __future__ import annotations

import json

from django.conf import settings

from batches.files.errors import ListRefused

RETRY_SECONDS = 10
"""What a client that comes at a bad time is told to wait. A large body takes some seconds."""

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>Refused</title><link rel="stylesheet" href="{style}">
<main><h1>The file was not accepted</h1><p class="notice error" role="alert">{sentence}</p>
<p><a class="button primary" href="/">Back</a></p></main></html>
"""

HEADERS = (
    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
    "Content-Security-Policy: default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
)


class BodyRefused(ListRefused):
    """A body was refused for another reason than its content. Nothing of it was kept."""

    def __init__(self, message: str, *, http_status: int) -> None:
        super().__init__(message)
        self.http_status = http_status


def write_refusal(refused: ListRefused, *, accept: str) -> tuple[str, bytes]:
    """Return content type and body: a page for a browser that posted a form without a script, else JSON."""
    sentence = refused.message
    if "text/html" in accept:
        page = PAGE.format(style=f"{settings.STATIC_URL}css/pages.css", sentence=sentence)
        return "text/html; charset=utf-8", page.encode()
    return "application/json", json.dumps({"detail": sentence}).encode()


def write_response(refused: ListRefused, *, accept: str) -> bytes:
    """Return the whole HTTP/1.1 response to a refused request. The connection ends with it."""
    content_type, body = write_refusal(refused, accept=accept)
    status = refused.http_status
    more = ""
    if status in (429, 503):
        more = f"Retry-After: {RETRY_SECONDS}\r\n"
    if status == 401:
        more = "WWW-Authenticate: Bearer\r\n"  # RFC 9110 section 11.6.1
    head = (
        f"HTTP/1.1 {status} Refused\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        f"{more}{HEADERS}Connection: close\r\n\r\n"
    )
    return head.encode() + body
