"""Fails a test in which the API answers with a status that its OpenAPI document does not describe.

It is a middleware of every test run (tests/conftest.py), so a view that answers something new fails its own first test.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from batches.api import api
from batches.api.described import find_template, list_operations
from batches.response_middleware import change_responses


class Undescribed(AssertionError):
    """The API answered what its document does not describe."""


@cache
def described_statuses() -> dict[tuple[str, str], dict[str, Any]]:
    """Return the responses of each operation, by path and method, with statuses as text."""
    document = json.loads(json.dumps(api.get_openapi_schema()))
    return {(path, method): operation["responses"] for path, method, operation in list_operations(document)}


def _check(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    match = request.resolver_match
    if match is None or not match.route.startswith("api/"):
        return response
    path, method = find_template(match.route), (request.method or "").lower()
    responses = described_statuses().get((path, "get" if method == "head" else method))
    if responses is not None and str(response.status_code) not in responses:
        raise Undescribed(
            f"{request.method} {path} answered {response.status_code}, which its document does not describe. Add it to "
            f"response={{...}} of the view, or to the shared refusals in batches/api/described.py. Answer: "
            f"{getattr(response, 'content', b'')[:300]!r}"
        )
    return response


check_described = change_responses(_check)
