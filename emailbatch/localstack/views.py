"""The /inbox/ pages, which show what the local inbox received. They exist only if the local inbox is used.

A message is untrusted: its HTML is shown in a frame that runs no script, and nothing is loaded from other servers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from emailbatch.localstack import addresses
from emailbatch.localstack.inbox_store import Message, delete_messages, read_message, read_page

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

SEE_ALL = "batches.view_all_batches"
"""The permission to see the batches of everybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One message of the list."""

    message: Message
    received_at: datetime
    recipients: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bodies:
    """The bodies of a message, decoded and cut to what a page shows. A body that is missing is empty."""

    html: str
    text: str
    source: str
    attachments: list[str]


def may_see_all_required(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Let in who may see the batches of everybody, because the inbox has everybody's mail.

    An anonymous visitor goes to the login page. The permission is named here and not imported: the local stack knows
    nothing of the application.
    """

    @login_required
    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if not request.user.has_perm(SEE_ALL):
            raise PermissionDenied(
                _(
                    "The inbox has everybody's mail, so it is open to those who may see the batches of everybody. The "
                    "page of your own batch shows each message as it went out."
                )
            )
        return view(request, *args, **kwargs)

    return guarded


@require_safe
@may_see_all_required
def list_messages(request: HttpRequest) -> HttpResponse:
    """List the messages, newest first. ``?recipient=`` keeps those to an address that contains this text."""
    wanted = request.GET.get("recipient", "").strip()
    before = _whole_number(request.GET.get("before", ""))
    page = read_page(_file(), before=before, recipient=wanted)
    context = {
        "lines": [_line(message) for message in page.messages],
        "recipient": wanted,
        "first_query": _query(recipient=wanted) if before is not None else "",
        "next_query": _query(recipient=wanted, before=page.next_before) if page.next_before else "",
    }
    return render(request, "localstack/inbox.html", context)


@require_safe
@may_see_all_required
def show_message(request: HttpRequest, message_id: int) -> HttpResponse:
    """Show one message: its HTML in a frame, its text and its source."""
    message, raw = _find(message_id)
    context = {"line": _line(message), "bodies": read_bodies(raw)}
    response = render(request, "localstack/message.html", context)
    response.headers["Content-Security-Policy"] = MESSAGE_PAGE_POLICY
    return response


@require_http_methods(["GET", "POST"])
@may_see_all_required
def delete_message(request: HttpRequest, message_id: int) -> HttpResponse:
    """Delete one message from the inbox. What is known about its recipient stays."""
    if request.method == "POST" and _fits(message_id) and delete_messages(_file(), [message_id]):
        messages.success(request, _("The message is deleted."))
    return redirect("inbox")


@require_http_methods(["GET", "POST"])
@may_see_all_required
def delete_all(request: HttpRequest) -> HttpResponse:
    """Empty the inbox."""
    if request.method == "POST":
        count = delete_messages(_file())
        words = ngettext("%(count)s message is deleted.", "%(count)s messages are deleted.", count)
        messages.success(request, words % {"count": count})
    return redirect("inbox")


@require_safe
@may_see_all_required
def download_message(request: HttpRequest, message_id: int) -> HttpResponse:
    """Return the message as the server received it, octet for octet."""
    message, raw = _find(message_id)
    response = HttpResponse(raw, content_type="message/rfc822")
    response.headers["Content-Disposition"] = f'attachment; filename="message-{message.id}.eml"'
    return response


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


def _find(message_id: int) -> tuple[Message, bytes]:
    found = read_message(_file(), message_id) if _fits(message_id) else None
    if found is None:
        raise Http404(f"The inbox has no message {message_id}.")
    return found


def _file() -> Path:
    return addresses.inbox_file(settings.DATA_DIR)


def _line(message: Message) -> Line:
    return Line(
        message=message,
        received_at=datetime.fromtimestamp(message.received_at, tz=UTC),
        recipients=message.recipients.split("\n"),
    )


def _whole_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and _fits(int(text[:20])) else None


def _fits(number: int) -> bool:
    return number <= SQLITE_MAX_INTEGER


def _query(*, recipient: str, before: int | None = None) -> str:
    parts = {"recipient": recipient, "before": str(before or "")}
    return "?" + urlencode({name: value for name, value in parts.items() if value})
