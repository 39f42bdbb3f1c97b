"""The limit on a request's body, and the answer to a request whose body is refused.

The answer is written before there is a Django request, so no template can be rendered.
"""

from __future__ import annotations

import json

from django.conf import settings

from batches.files.errors import ListRefused

FRAMING_MAX_BYTES = 64 * 1024
"""What a form may add around its file: boundaries, headers, the other fields."""

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>Refused</title><link rel="stylesheet" href="{style}">
<main><h1>The file was not accepted</h1><p class="notice error" role="alert">{sentence}</p>
<p><a class="button primary" href="/">Back</a></p></main></html>
"""


def body_max_bytes() -> int:
    """Return the size of the largest body that is accepted."""
    return int(settings.UPLOAD_MAX_BYTES) + FRAMING_MAX_BYTES


def write_refusal(refused: ListRefused, *, accept: str) -> tuple[str, bytes]:
    """Return content type and body: a page for a browser that posted a form without a script, else JSON."""
    sentence = refused.message
    if "text/html" in accept:
        page = PAGE.format(style=f"{settings.STATIC_URL}css/pages.css", sentence=sentence)
        return "text/html; charset=utf-8", page.encode()
    return "application/json", json.dumps({"detail": sentence}).encode()
