"""Describe every answer of the API in its OpenAPI document: each operation's own, and the refusals that many share.

The operations enter as ninja describes them. They leave with a response for every status that they may answer, and one
shape for every error. An operation whose view answers a further status names it: ``response={202: SentOut, 428:
ErrorOut}``. A test runs after each request of the test suite, and fails if an answer is not described.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import ValidationError, ValidationErrorContext
from ninja.openapi.schema import OpenAPISchema

from batches.api.auth import BearerToken
from batches.api.errors import ApiError, answer_api_error

_FIRST_END = re.compile(r"(?<=\.)\s+|\n\n")

METHODS = frozenset({"get", "post", "put", "patch", "delete"})

ERROR = {
    "title": "Error",
    "type": "object",
    "required": ["detail"],
    "properties": {
        "detail": {"type": "string", "description": "What is wrong and what to do, as a sentence for a person."},
        "errors": {
            "type": "array",
            "description": "With 422: each field that is wrong, ten at most.",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "retryAfterSeconds": {"type": "number", "description": "With 429 and 503: when to try again."},
    },
}
"""The one shape of an error. Some have further members, which say more for a program."""

MEANINGS = {
    HTTPStatus.BAD_REQUEST: "The request could not be read, or the file has no usable row.",
    HTTPStatus.UNAUTHORIZED: "There is no session and no valid token.",
    HTTPStatus.FORBIDDEN: "You lack a permission, the token lacks a scope, or the CSRF token is wrong.",
    HTTPStatus.NOT_FOUND: "There is nothing of this name, or it belongs to another user.",
    HTTPStatus.METHOD_NOT_ALLOWED: "The address does not accept this method. The header Allow says which it accepts.",
    HTTPStatus.CONFLICT: "The state does not allow it, or the same idempotency key came with another request.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body has another type than described, or the file is of no known kind.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "A value can't be used.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many of these at once, or a limit of the day is used up. Retry-After says when.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The server failed. Its log says why.",
    HTTPStatus.SERVICE_UNAVAILABLE: "A service that is needed is away or busy. Try again later.",
    HTTPStatus.INSUFFICIENT_STORAGE: "The server's disk is full.",
}


class DescribedApi(NinjaAPI):
    """A NinjaAPI whose document has the shared refusals, and shows itself only to those who signed in."""

    def __init__(self, **options: Any) -> None:
        super().__init__(docs_decorator=for_signed_in, **options)

    def validation_error_from_error_contexts(
        self, error_contexts: list[ValidationErrorContext[Any]]
    ) -> ValidationError:
        """Let go of what was read: the caller's frame keeps this list, and pydantic's errors in it the whole body."""
        error = super().validation_error_from_error_contexts(error_contexts)
        error_contexts.clear()
        return error

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        document = super().get_openapi_schema(**options)
        document["components"]["schemas"]["Error"] = ERROR
        for path, method, operation in list_operations(document):
            _summarise(operation)
            _describe_texts(operation)
            _add_refusals(operation, statuses=list(_shared_statuses(path, method, operation)))
        return document


def list_operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield each operation of a document with its path and its method in lower case."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in METHODS:
                yield path, method, operation


def _summarise(operation: dict[str, Any]) -> None:
    """Say in the list of operations what each does: the first sentence of its text. ninja has the function's name."""
    first, *rest = _FIRST_END.split(operation["description"], maxsplit=1)
    operation["summary"] = " ".join(first.split()).removesuffix(".")
    operation["description"] = "".join(rest).strip()


def _describe_texts(operation: dict[str, Any]) -> None:
    """Say what a query and a form cannot have: null, because they are texts, and in a form an unknown field."""
    for parameter in operation["parameters"]:
        parameter["schema"] = _without_null(parameter["schema"])
    form = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data")
    if form:
        fields = {name: _without_null(schema) for name, schema in form["schema"]["properties"].items()}
        form["schema"] = form["schema"] | {"properties": fields, "additionalProperties": False}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    kept = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if not kept:
        return schema
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return rest | (kept[0] if len(kept) == 1 else {"anyOf": kept})


def _shared_statuses(path: str, method: str, operation: dict[str, Any]) -> Iterator[HTTPStatus]:
    """Yield the statuses of the refusals that do not come from the view alone."""
    yield HTTPStatus.BAD_REQUEST
    yield HTTPStatus.METHOD_NOT_ALLOWED
    yield HTTPStatus.UNPROCESSABLE_ENTITY
    yield HTTPStatus.INTERNAL_SERVER_ERROR
    yield HTTPStatus.SERVICE_UNAVAILABLE
    if operation.get("security"):
        yield from (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
    if "{" in path:
        yield HTTPStatus.NOT_FOUND
    if method != "get" or path.endswith(("/review", "/letters")):  # both are of drafts only
        yield HTTPStatus.CONFLICT
    if method != "get":
        yield from (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        yield HTTPStatus.INSUFFICIENT_STORAGE


def _add_refusals(operation: dict[str, Any], *, statuses: list[HTTPStatus]) -> None:
    responses = operation["responses"]
    named = {int(status) for status in responses}
    for status in sorted(statuses):
        if int(status) in named:
            continue
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        described: dict[str, Any] = {"description": MEANINGS[status], "content": content}
        if status in (HTTPStatus.TOO_MANY_REQUESTS,):
            described["headers"] = {"Retry-After": {"schema": {"type": "string"}, "description": "In seconds."}}
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            described["headers"] = {"Allow": {"schema": {"type": "string"}}}
        responses[int(status)] = described


def for_signed_in(view: Any) -> Any:
    """Show the document to a session or a token. A visitor goes to the sign-in page, a program gets a 401."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            is_known = request.user.is_authenticated or BearerToken()(request) is not None
        except ApiError as refused:
            return answer_api_error(request, refused)
        if is_known:
            return view(request, *args, **kwargs)  # type: ignore[no-any-return]
        if request.path.endswith(".json"):
            sentence = "Sign in, or send a token in the header 'Authorization: Bearer TOKEN'."
            return answer_api_error(request, ApiError(401, sentence))
        return redirect_to_login(request.path)

    return guarded


def find_template(route: str) -> str:
    """Turn Django's route into a path of the document: ``api/jobs/<int:job_id>`` -> ``/api/jobs/{job_id}``."""
    return "/" + re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", route)
