"""Read the JSON, the form and the address of a request.

A request enters, and the values of its body, form or query leave. Refused are a body without a JSON content type, JSON
whose objects would fill the memory, numbers and texts that can't be stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import orjson
from django.http import HttpRequest, QueryDict
from ninja.parser import Parser

from batches.api.errors import ApiError

BRACKETS_MAX = 600_000
COMMAS_MAX = 3_000_000
"""How many brackets and commas a body may have. An object takes ten times as much memory as its text, so sixteen
megabytes of empty objects would take a gigabyte. A real list has a bracket in sixty octets, and a comma in twenty."""

_UNUSABLE = {
    "infinity": "A number of the body is too large. Write a smaller one, or write it as a text.",
    "surrogate": "A text of the body has half of a surrogate pair, such as \\ud800. Remove it.",
    "depth limit": "The body has brackets in more than a thousand levels. Send it without them.",
}
"""What to do about JSON that is well formed but can't be used, by a word of orjson's message."""


class JsonParser(Parser):
    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        content_type = (request.content_type or "").lower()
        if content_type != "application/json":
            raise ApiError(415, f"Send JSON, not '{content_type[:100]}', with Content-Type: application/json.")
        _refuse_many_parts(request.body)
        try:
            body: dict[str, Any] = orjson.loads(request.body)
        except json.JSONDecodeError as exc:
            sentence = _say_unusable(exc)
            if sentence is None:
                raise
            raise ApiError(422, sentence) from exc
        return body

    def parse_querydict(self, data: Any, list_fields: list[str], request: HttpRequest) -> dict[str, Any]:
        """Read a form or an address. ninja hands over the files of a form too: they are no texts."""
        if isinstance(data, QueryDict):
            for name, values in data.lists():
                refuse_nul(name, values)
        parsed: dict[str, Any] = super().parse_querydict(data, list_fields, request)
        return parsed


def refuse_nul(name: str, texts: Iterable[object]) -> None:
    """Refuse a field with the character NUL in its name or in a text, which PostgreSQL can't store.

    Raises:
        ApiError: 422.
    """
    if "\0" in name or any(isinstance(text, str) and "\0" in text for text in texts):
        shown = name.replace("\0", "")[:100]
        raise ApiError(422, f"The field '{shown}' has the character NUL (U+0000). Remove it, and send it again.")


def _refuse_many_parts(body: bytes) -> None:
    if body.count(b"{") + body.count(b"[") > BRACKETS_MAX or body.count(b",") > COMMAS_MAX:
        raise ApiError(
            422,
            f"The body has more than {BRACKETS_MAX:,} brackets or {COMMAS_MAX:,} commas. Send fewer recipients in one "
            "request, or upload them as a file with POST /api/upload.",
        )


def _say_unusable(exc: json.JSONDecodeError) -> str | None:
    """Say what to do about JSON that orjson can't make values of. None: it is no JSON."""
    if "UTF-8" in exc.msg:
        return None
    return next((sentence for word, sentence in _UNUSABLE.items() if word in exc.msg), None)
