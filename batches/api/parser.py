"""Read the JSON of a request. A request without a JSON content type is refused."""

from __future__ import annotations

from typing import Any

import orjson
from django.http import HttpRequest
from ninja.parser import Parser

from batches.api.errors import ApiError


class JsonParser(Parser):
    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        content_type = (request.content_type or "").lower()
        if content_type != "application/json":
            raise ApiError(415, f"Send JSON, not '{content_type}', with Content-Type: application/json.")
        body: dict[str, Any] = orjson.loads(request.body)
        return body
