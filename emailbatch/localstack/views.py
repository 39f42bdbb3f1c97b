"""The /inbox/ pages, which show what the local inbox received. They exist only if the local inbox is used.

Everybody sees the messages of those batches that they may see. A message of no batch may hold a secret, such as the
link of an invitation: only administrators see it. A message is untrusted: its HTML is shown in a frame that runs no
script, and nothing is loaded from other servers.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from emailbatch.localstack import addresses
from emailbatch.localstack.inbox_store import (
    Message,
    Viewer,
    assign_batches,
    delete_messages,
    list_batches,
    mark_read,
    mark_unread,
    read_message,
    read_page,
)

SHOWN_MAX_CHARACTERS = 500_000
"""The most of a body that a page shows. The download has the whole message."""

SQLITE_MAX_INTEGER = 2**63 - 1

MESSAGE_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
"""The policy of a page with a message. A frame with ``srcdoc`` inherits it, and a message needs its inline styles."""


OPEN_LINKS_IN_TABS = '<base target="_blank">'
"""Before the HTML of a message: the frame itself may lead nowhere."""

OFFERED_MAX = 100
"""How many batches the filter offers: the newest. The address of a batch's own link names any other."""


class Batches(Protocol):
    """What the application knows of the messages. The local stack knows it by its path in the settings alone."""

    def find_batches(self, message_ids: Sequence[str]) -> dict[str, int]: ...

    def sees_all(self, user: Any) -> bool: ...

    def find_titles(self, user: Any, batch_ids: Collection[int]) -> dict[int, str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One message of the list."""

    message: Message
    received_at: datetime
    recipients: list[str]
    batch_title: str
    """Empty: the message is of no batch, or the batch was deleted."""
    is_unread: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bodies:
    """The bodies of a message, decoded and cut to what a page shows. A body that is missing is empty."""

    html: str
    text: str
    source: str
    attachments: list[str]


@require_safe
@login_required
def list_messages(request: HttpRequest) -> HttpResponse:
    """List the messages, newest first.

    ``?recipient=`` keeps those to an address that contains this text, ``?batch=`` those of one batch, and ``?unread=1``
    those that the user has not opened.
    """
    viewer = _find_viewer(request)
    wanted = request.GET.get("recipient", "").strip()
    batch_id, before = (_whole_number(request.GET.get(name, "")) for name in ("batch", "before"))
    batch_id = batch_id or None
    is_unread = bool(request.GET.get("unread"))
    page = read_page(_file(), viewer=viewer, before=before, recipient=wanted, batch_id=batch_id, is_unread=is_unread)
    offered = _offer_batches(request, viewer, batch_id)
    shown = {message.batch_id for message in page.messages if message.batch_id}
    titles = _batches().find_titles(request.user, shown)
    query = {"recipient": wanted, "batch": str(batch_id or ""), "unread": "1" if is_unread else ""}
    context = {
        "lines": [_line(message, titles, is_unread=message.id in page.unread) for message in page.messages],
        "recipient": wanted,
        "batch_id": batch_id,
        "batches": offered.items(),
        "is_unread": is_unread,
        "is_filtered": bool(wanted or batch_id or is_unread),
        "sees_all": viewer.batches is None,
        "first_query": _query(query) if before is not None else "",
        "next_query": _query(query | {"before": str(page.next_before)}) if page.next_before else "",
    }
    return render(request, "localstack/inbox.html", context)


def _offer_batches(request: HttpRequest, viewer: Viewer, batch_id: int | None) -> dict[int, str]:
    """Return the titles of the batches by which the list can be filtered: the newest, and the chosen one."""
    seen = list_batches(_file()) if viewer.batches is None else sorted(viewer.batches, reverse=True)
    return _batches().find_titles(request.user, [*seen[:OFFERED_MAX], *filter(None, [batch_id])])


@require_safe
@login_required
def show_message(request: HttpRequest, message_id: int) -> HttpResponse:
    """Show one message: its HTML in a frame, its text and its source. The user has read it then."""
    viewer = _find_viewer(request)
    message, raw = _find(message_id, viewer)
    if request.method == "GET":
        mark_read(_file(), message_id, viewer=viewer)
    titles = _batches().find_titles(request.user, [message.batch_id] if message.batch_id else [])
    context = {"line": _line(message, titles), "bodies": read_bodies(raw)}
    response = render(request, "localstack/message.html", context)
    response.headers["Content-Security-Policy"] = MESSAGE_PAGE_POLICY
    return response


@require_http_methods(["GET", "POST"])
@login_required
def mark_all_read(request: HttpRequest) -> HttpResponse:
    """Mark every message that the user sees as read."""
    if request.method == "POST":
        mark_read(_file(), viewer=_find_viewer(request))
        messages.success(request, _("All messages are marked as read."))
    return redirect("inbox")


@require_http_methods(["GET", "POST"])
@login_required
def mark_as_unread(request: HttpRequest, message_id: int) -> HttpResponse:
    """Mark one message as unread, for this user."""
    if request.method == "POST" and _fits(message_id):
        mark_unread(_file(), message_id, viewer=_find_viewer(request))
    return redirect("inbox")


@require_http_methods(["GET", "POST"])
@login_required
def delete_message(request: HttpRequest, message_id: int) -> HttpResponse:
    """Delete one message from the inbox. What is known about its recipient stays."""
    is_posted = request.method == "POST" and _fits(message_id)
    if is_posted and delete_messages(_file(), message_id, viewer=_find_viewer(request)):
        messages.success(request, _("The message is deleted."))
    return redirect("inbox")


@require_http_methods(["GET", "POST"])
@login_required
def delete_all(request: HttpRequest) -> HttpResponse:
    """Delete all messages that the user sees."""
    if request.method == "POST":
        count = delete_messages(_file(), viewer=_find_viewer(request))
        words = ngettext("%(count)s message is deleted.", "%(count)s messages are deleted.", count)
        messages.success(request, words % {"count": count})
    return redirect("inbox")


@require_safe
@login_required
def download_message(request: HttpRequest, message_id: int) -> HttpResponse:
    """Return the message as the server received it, octet for octet."""
    message, raw = _find(message_id, _find_viewer(request))
    response = HttpResponse(raw, content_type="message/rfc822")
    response.headers["Content-Disposition"] = f'attachment; filename="message-{message.id}.eml"'
    return response


def _find_viewer(request: HttpRequest) -> Viewer:
    """Find out which messages the user may see. First the new ones are assigned to their batches."""
    user: Any = request.user  # login_required
    assign_batches(_file(), _batches().find_batches)
    seen = None if _batches().sees_all(user) else _batches().find_titles(user, list_batches(_file()))
    return Viewer(user_id=user.pk, batches=seen, sees_private=user.is_superuser)


def _batches() -> Batches:
    made: Batches = import_string(settings.INBOX_BATCHES)()
    return made


def read_bodies(raw: bytes) -> Bodies:
    """Decode what a page shows. Never raises: a message that cannot be parsed still has its source."""
    try:
        parsed = message_from_bytes(raw, policy=policy.default)
        assert isinstance(parsed, EmailMessage)  # noqa: S101  (policy.default makes it so)
        html, text = _body(parsed, "html"), _body(parsed, "plain")
        attachments = [part.get_filename() or part.get_content_type() for part in parsed.iter_attachments()]
    except Exception:  # the email package raises many kinds of errors for malformed messages
        html, text, attachments = "", "", []
    source = raw[:SHOWN_MAX_CHARACTERS].decode("utf-8", "replace")
    return Bodies(html=OPEN_LINKS_IN_TABS + html if html else "", text=text, source=source, attachments=attachments)


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body(preferencelist=(kind,))
    if part is None:
        return ""
    octets = part.get_payload(decode=True)
    charset = part.get_content_charset("utf-8")
    try:
        text = bytes(octets).decode(charset, "replace")
    except LookupError:  # an unknown charset
        text = bytes(octets).decode("utf-8", "replace")
    return text[:SHOWN_MAX_CHARACTERS]


def _find(message_id: int, viewer: Viewer) -> tuple[Message, bytes]:
    found = read_message(_file(), message_id, viewer=viewer) if _fits(message_id) else None
    if found is None:
        raise Http404(f"The inbox has no message {message_id}.")
    return found


def _file() -> Path:
    return addresses.inbox_file(settings.DATA_DIR)


def _line(message: Message, titles: dict[int, str], *, is_unread: bool = False) -> Line:
    return Line(
        message=message,
        received_at=datetime.fromtimestamp(message.received_at, tz=UTC),
        recipients=message.recipients.split("\n"),
        batch_title=titles.get(message.batch_id or 0, ""),
        is_unread=is_unread,
    )


def _whole_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and _fits(int(text[:20])) else None


def _fits(number: int) -> bool:
    return number <= SQLITE_MAX_INTEGER


def _query(parts: dict[str, str]) -> str:
    return "?" + urlencode({name: value for name, value in parts.items() if value})
