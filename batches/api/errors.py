"""Answer every error of the API with ``{"detail": sentence, ...}``, whether we, ninja or Django raised it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.db import DataError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from batches.api.advice import UNKNOWN_FIELD, advise
from batches.api.approval_schemas import describe_approval
from batches.files.errors import FileTooLarge, StorageFull
from batches.files.full_disk import is_disk_full
from batches.files.spooling import too_large_sentence
from batches.intake import ListRefused
from batches.jobs.creation import ApprovalAsked, TemplateRefused
from batches.jobs.lifecycle import JobRefused
from batches.jobs.reviewed import ReviewChanged
from batches.jobs.user_limits import LimitReached
from batches.models import Batch, TemplateNotFound
from batches.paging import CursorFault
from batches.permissions import NotPermitted
from batches.rendering.children import RenderingBusy
from batches.rendering.template import TemplateFault
from batches.response_middleware import change_responses
from batches.translations import say_to_program

logger = logging.getLogger(__name__)

API_PREFIX = "/api/"

ERRORS_MAX = 10
"""How many errors of one request are answered. The others have the same cause, or come next."""

SENTENCES = {
    HTTPStatus.BAD_REQUEST: "The request could not be read. Check its address, headers and body.",
    HTTPStatus.FORBIDDEN: "You may not do this. Ask an administrator for the permission.",
    HTTPStatus.NOT_FOUND: "There is nothing at this address. See /api/docs for the addresses of the API.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address does not accept {method}. It accepts {allow}.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The request is too large.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The server failed. Its log says why. Try again, or tell the administrator.",
}


DISCARDED = "The batch was discarded a moment ago. Send the request again."
"""To a request that waited for another one with the same idempotency key, or for somebody who discarded the draft."""


class ApiError(Exception):
    """An expected refusal: a status, a sentence, and more values that the caller can use."""

    def __init__(self, status: int, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.more = more


def not_found(what: str) -> ApiError:
    """A 404 with the same sentence for a thing that does not exist and for another user's."""
    return ApiError(404, f"There is no {what}, or it belongs to another user.")


def add_handlers(api: NinjaAPI) -> None:
    """Let an API answer each expected exception with its status and a sentence."""
    for exception, handler in _HANDLERS.items():
        api.add_exception_handler(exception, handler)


def answer(status: int, detail: str, **more: Any) -> HttpResponse:
    return JsonResponse({"detail": say_to_program(detail), **more}, status=status)


def answer_too_large() -> HttpResponse:
    return answer(FileTooLarge.http_status, too_large_sentence())


def answer_api_error(request: HttpRequest, exc: ApiError) -> HttpResponse:
    response = answer(exc.status, exc.detail, **exc.more)
    if exc.status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"  # RFC 9110 section 11.6.1
    if exc.status == HTTPStatus.TOO_MANY_REQUESTS:
        response["Retry-After"] = str(exc.more.get("retryAfterSeconds", 60))
    return response


def _answer_http_error(request: HttpRequest, exc: HttpError) -> HttpResponse:
    cause = exc.__cause__
    if isinstance(cause, ApiError):  # ninja wraps what a parser raises
        return answer_api_error(request, cause)
    if isinstance(cause, (json.JSONDecodeError, UnicodeDecodeError)):
        return answer(400, f"The body is not JSON: {cause}.")
    if exc.status_code == HTTPStatus.UNAUTHORIZED:
        sentence = "Sign in, or send a token in the header 'Authorization: Bearer TOKEN'."
        return answer_api_error(request, ApiError(401, sentence))
    return answer(exc.status_code, str(exc))


def _answer_validation_error(request: HttpRequest, exc: ValidationError) -> HttpResponse:
    errors = [
        {"field": _name_field(error["loc"]), "message": say_to_program(advise(error))}
        for error in exc.errors[:ERRORS_MAX]
    ]
    first = errors[0]
    where = f"The field '{first['field']}' is invalid. " if first["field"] else "The request is invalid. "
    if exc.errors[0]["type"] == UNKNOWN_FIELD:
        where = ""  # the message names the field
    return answer(422, f"{where}{first['message']}", errors=errors)


def _name_field(location: tuple[str | int, ...]) -> str:
    """``("body", "payload", "recipients", 3)`` -> ``recipients.3``. The first two are names of ninja's.

    Empty: the whole body is meant.
    """
    parts = list(location)
    if parts and parts[0] in ("body", "query", "form", "file", "path", "header"):
        parts = parts[1:]
    if parts[:1] == ["payload"]:
        parts = parts[1:]
    return ".".join(str(part) for part in parts)


def _answer_bad_request(request: HttpRequest, exc: Exception) -> HttpResponse:
    reason = str(exc).rstrip(" .:")
    return answer(400, f"The request could not be read: {reason}." if reason else SENTENCES[HTTPStatus.BAD_REQUEST])


def _answer_os_error(request: HttpRequest, exc: OSError) -> HttpResponse:
    if not is_disk_full(exc):
        raise exc
    return answer(StorageFull.http_status, str(StorageFull()))


def _answer_job_refused(request: HttpRequest, exc: JobRefused) -> HttpResponse:
    response = answer(exc.http_status, str(exc))
    if isinstance(exc, LimitReached) and exc.retry_after_seconds is not None:
        response["Retry-After"] = str(exc.retry_after_seconds)  # RFC 6585 section 4
    return response


def _answer_approval_asked(request: HttpRequest, exc: ApprovalAsked) -> HttpResponse:
    """Answer a send that waits for approval as a send: with 202, and the approval in place of a job."""
    asked = describe_approval(exc.approval)
    return answer(
        exc.http_status,
        str(exc),
        success=True,
        jobId=None,
        batchId=asked.batchId,
        totalCount=asked.totalCount,
        approval=asked.model_dump(),  # Django writes its times as ninja does
    )


def _answer_review_changed(request: HttpRequest, exc: ReviewChanged) -> HttpResponse:
    return answer(exc.http_status, str(exc), digest=exc.digest)


def _answer_data_error(request: HttpRequest, exc: DataError) -> HttpResponse:
    kind = type(exc.__cause__ or exc).__name__  # its message may quote the value
    logger.warning("The database can't store what %s %s was given: %s", request.method, request.path, kind)
    return answer(
        422,
        "A value has a character or a number that the database can't store, such as NUL (U+0000). Remove it, and send "
        "the request again.",
    )


def _answer_rendering_busy(request: HttpRequest, exc: RenderingBusy) -> HttpResponse:
    return answer_api_error(request, ApiError(429, str(exc), retryAfterSeconds=exc.retry_seconds))


_HANDLERS: dict[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
    ApiError: answer_api_error,
    HttpError: _answer_http_error,
    ValidationError: _answer_validation_error,
    RequestDataTooBig: lambda request, exc: answer_too_large(),
    BadRequest: _answer_bad_request,
    SuspiciousOperation: _answer_bad_request,
    MultiPartParserError: _answer_bad_request,
    Http404: lambda request, exc: answer(404, SENTENCES[HTTPStatus.NOT_FOUND]),
    OSError: _answer_os_error,
    DataError: _answer_data_error,
    Batch.DoesNotExist: lambda request, exc: answer(409, DISCARDED),
    ApprovalAsked: _answer_approval_asked,
    ReviewChanged: _answer_review_changed,
    ListRefused: lambda request, exc: answer(exc.http_status, exc.message),
    NotPermitted: lambda request, exc: answer(exc.http_status, str(exc)),
    JobRefused: _answer_job_refused,
    TemplateRefused: lambda request, exc: answer(422, str(exc)),
    TemplateNotFound: lambda request, exc: answer(422, str(exc)),
    TemplateFault: lambda request, exc: answer(422, str(exc)),
    RenderingBusy: _answer_rendering_busy,
    CursorFault: lambda request, exc: answer(422, str(exc)),
}


def _to_json(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if response.status_code < 400 or not request.path.startswith(API_PREFIX):
        return response
    if response.get("Content-Type", "").startswith("application/json"):
        return response
    if settings.DEBUG and response.status_code >= 500:
        return response
    status = HTTPStatus(response.status_code)
    sentence = SENTENCES.get(status, f"The request was refused: {status.phrase}.")
    allow = response.get("Allow", "")
    answered = answer(status, sentence.format(method=request.method, allow=allow))
    if allow:
        answered["Allow"] = allow
    return answered


json_errors = change_responses(_to_json)
"""The middleware that turns Django's own error pages under ``/api/`` (404, 405, 500 and others) into our JSON."""
