"""Name the actor of each request for the audit, and write down the requests that are refused.

A request enters. Every ``audit.record`` while it is answered names its user or token, its door and its client. If the
answer to a request of the table below is a refusal, an entry is written here, after the transaction of the view has
ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from batches import audit
from batches.client_address import find_client_address
from batches.models import AuditAction
from batches.redaction import redact

REFUSED_STATUSES = frozenset({403, 409, 429})
"""A permission is lacking, something changed since the review, or a limit is reached."""

ACTIONS = {
    "home": AuditAction.UPLOAD,
    "upload": AuditAction.UPLOAD,
    "send_bulk": AuditAction.SEND,
    "review-send": AuditAction.SEND,
    "send_batch": AuditAction.SEND,
    "review-test": AuditAction.TEST,
    "review-fields": AuditAction.LIST_CHANGE,
    "review-reread": AuditAction.LIST_CHANGE,
    "review-add": AuditAction.LIST_CHANGE,
    "rename_fields": AuditAction.LIST_CHANGE,
    "reread": AuditAction.LIST_CHANGE,
    "add_rows": AuditAction.LIST_CHANGE,
    "review-discard": AuditAction.DISCARD,
    "discard": AuditAction.DISCARD,
    "pause_batch": AuditAction.PAUSE,
    "resume_batch": AuditAction.RESUME,
    "cancel_batch": AuditAction.CANCEL,
    "replay_batch": AuditAction.REPLAY,
    "approve_batch": AuditAction.APPROVE,
    "refuse_batch": AuditAction.APPROVAL_REFUSE,
    "withdraw_batch": AuditAction.APPROVAL_VOID,
    "approval-approve": AuditAction.APPROVE,
    "approval-refuse": AuditAction.APPROVAL_REFUSE,
    "approval-withdraw": AuditAction.APPROVAL_VOID,
    "list_templates": AuditAction.TEMPLATE_CHANGE,
    "get_template": AuditAction.TEMPLATE_CHANGE,
    "template-restore": AuditAction.TEMPLATE_CHANGE,
    "template-new": AuditAction.TEMPLATE_CHANGE,
    "template": AuditAction.TEMPLATE_CHANGE,
    "template-default": AuditAction.TEMPLATE_DEFAULT,
    "template-delete": AuditAction.TEMPLATE_DELETE,
    "download_results": AuditAction.DOWNLOAD,
    "download_rejected": AuditAction.DOWNLOAD,
    "inbox": AuditAction.DOWNLOAD,
    "inbox-message": AuditAction.DOWNLOAD,
    "inbox-raw": AuditAction.DOWNLOAD,
    "audit": AuditAction.AUDIT_READ,
    "list_audit": AuditAction.AUDIT_READ,
    "download_audit": AuditAction.AUDIT_READ,
    "person": AuditAction.PERSON_SEARCH,
    "person-export": AuditAction.PERSON_EXPORT,
    "person-erase": AuditAction.PERSON_ERASE,
}
"""What a request tried, by the name of its address. The API names an address after the function of its first method."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

STEERING = {
    "pause": AuditAction.PAUSE,
    "resume": AuditAction.RESUME,
    "cancel": AuditAction.CANCEL,
}
"""What the buttons of a batch try, by the last part of their address. All others replay."""

DOWNLOADS = frozenset({"inbox-raw"})
"""Downloads of the local stack, which does not know the application and so can't write entries itself."""

Respond = Callable[[HttpRequest], Any]


def find_actor(request: HttpRequest) -> audit.Actor:
    """Find who acts in a request. Reads the user from the database if nothing has read it before."""
    token_name = getattr(request, "api_token_name", None)
    via = name_door(request) if token_name is None else redact(f"token {token_name}".rstrip())
    peer = request.META.get("REMOTE_ADDR", "")
    client = find_client_address(peer, request.META.get("HTTP_X_FORWARDED_FOR", ""))
    return audit.Actor.of_user(getattr(request, "user", None), via=via, client=client)


def name_door(request: HttpRequest) -> str:
    """Return ``admin`` or ``page``. A session at the API is a page's: a program has a token."""
    return "admin" if request.path_info.startswith("/admin/") else "page"


@sync_and_async_middleware
def audit_requests(get_response: Respond) -> Respond:
    """The middleware. It must come after the one that finds the user."""

    async def respond_async(request: HttpRequest) -> HttpResponseBase:
        with audit.acting_as(lambda: find_actor(request)):
            response: HttpResponseBase = await get_response(request)
            if is_recorded_here(request, response):
                await sync_to_async(record_answer)(request, response)
            return response

    def respond(request: HttpRequest) -> HttpResponseBase:
        with audit.acting_as(lambda: find_actor(request)):
            response: HttpResponseBase = get_response(request)
            if is_recorded_here(request, response):
                record_answer(request, response)
            return response

    return respond_async if iscoroutinefunction(get_response) else respond


def is_recorded_here(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Tell, without a query, whether an answer may be written down here."""
    match = request.resolver_match
    if match is None:
        return False
    return response.status_code in REFUSED_STATUSES or (match.url_name in DOWNLOADS and response.status_code == 200)


def record_answer(request: HttpRequest, response: HttpResponseBase) -> None:
    """Write down a refusal, or a download of the local stack.

    Strangers are left out: they could fill the disk with entries.
    """
    action = find_action(request)
    match = request.resolver_match
    if action is None or match is None or not isinstance(getattr(request, "user", None), User):
        return
    status = response.status_code
    audit.record(
        action,
        batch_id=match.kwargs.get("batch_id"),
        is_refused=status in REFUSED_STATUSES,
        status=status,
        address=match.route,
        **({"message": match.kwargs["message_id"]} if "message_id" in match.kwargs else {}),
    )


def find_action(request: HttpRequest) -> AuditAction | None:
    """Find what a request tried. None: something that is not in the audit."""
    match = request.resolver_match
    if match is None:
        return None
    if match.url_name == "batch-steer":
        return STEERING.get(match.kwargs.get("action", ""), AuditAction.REPLAY)
    if name_door(request) == "admin":
        return AuditAction.ADMIN_READ if request.method in SAFE_METHODS else AuditAction.ADMIN_CHANGE
    return ACTIONS.get(match.url_name or "")
