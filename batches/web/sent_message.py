"""The message that one recipient of a batch got: rendered again from what its job kept and the recipient's fields.

A batch and an email enter. A SentMessage leaves, and its HTML or text as the content of a frame. No letter is stored
for each recipient: the job keeps its template's parts as they were when it was made, so the same message comes out.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from batches.history import read_histories
from batches.mailboxes import Mailbox, split_mailbox
from batches.models import Batch, Email, EmailJob
from batches.rendering import children
from batches.rendering.template import MessageParts, Rendered, TemplateFault, make_context
from batches.web.middleware import message_policy
from batches.web.requests import SignedInRequest, find_batch

FRAME_SANDBOX = "allow-popups allow-popups-to-escape-sandbox"
"""The ``sandbox`` attribute of a frame with a message: nothing runs in it, and a pressed link opens in a new tab."""

KEPT_SECONDS = 60.0
"""How long a rendered message is kept: longer than a page needs to load its frame, and short for personal data."""

KEPT_MAX = 64
KEPT_MAX_CHARS = 500_000

_DOCTYPE = re.compile(r"<!doctype[^>]*>", re.IGNORECASE)
_DOCTYPE_MAX_OFFSET = 2_000
"""How far into a message its document type may begin, for example after a comment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SentMessage:
    """What one recipient got, or would have got if it was not sent."""

    email: Email
    job: EmailJob
    message: Rendered | None
    fault: str
    """Why there is no message, in a sentence. Empty: there is one."""

    @property
    def comes_from(self) -> Mailbox:
        return split_mailbox(self.job.from_email)

    @property
    def replies_to(self) -> Mailbox | None:
        return split_mailbox(self.job.reply_to) if self.job.reply_to else None


def read_sent_message(batch: Batch, email: Email, *, user_id: int | None) -> SentMessage | None:
    """Render what a recipient got from the job that made the email's record. None: the batch was never sent.

    The link to unsubscribe in it leads nowhere, so that a look at the message unsubscribes nobody.

    Args:
        email: One that was read with ``with_state``.
    """
    job_id = read_histories([email])[email.pk].job_id
    jobs = batch.jobs.select_related("topic")
    job = jobs.filter(pk=job_id).first() if job_id else None
    job = job or jobs.order_by("-pk").first()
    if job is None:
        return None
    message, fault = _render(batch, email, job, user_id=user_id)
    return SentMessage(email=email, job=job, message=message, fault=fault)


class _Kept:
    """The messages that were rendered last: a page and its frame show the same one, and a child is not cheap."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages: OrderedDict[Hashable, tuple[float, Rendered]] = OrderedDict()

    def find(self, key: Hashable) -> Rendered | None:
        with self._lock:
            kept_at, message = self._messages.get(key, (float("-inf"), None))
        return message if time.monotonic() - kept_at < KEPT_SECONDS else None

    def keep(self, key: Hashable, message: Rendered) -> None:
        if sum(map(len, message)) > KEPT_MAX_CHARS:
            return
        with self._lock:
            self._messages[key] = (time.monotonic(), message)
            while len(self._messages) > KEPT_MAX:
                self._messages.popitem(last=False)


_kept = _Kept()


def _render(batch: Batch, email: Email, job: EmailJob, *, user_id: int | None) -> tuple[Rendered | None, str]:
    if not email.address:
        return None, _(
            "The address and the fields of this recipient were removed, so the message can't be shown any more."
        )
    # A draft that was taken back may be sent again with other fields, by another job.
    key = (job.pk, email.pk, email.address)
    message = _kept.find(key)
    if message is not None:
        return message, ""
    context = make_context(batch.merge_fields, email.fields, address=email.address)
    try:
        parts = MessageParts.of(job)
        message = children.render(parts, context, address_heading=batch.address_heading, user_id=user_id)
    except (TemplateFault, children.RenderingBusy) as exc:  # the page around it has more to tell, so it is shown
        return None, str(exc)
    _kept.keep(key, message)
    return message, ""


@require_safe
@login_required
def show_recipient_message(request: SignedInRequest, batch_id: int, row: int) -> HttpResponse:
    """Show the message of one recipient as the content of a frame: its HTML, or with ``?kind=text`` its text."""
    batch = find_batch(request, batch_id)
    email = batch.emails.with_state().filter(row=row).first()
    sent = read_sent_message(batch, email, user_id=request.user.pk) if email else None
    if sent is None:
        raise Http404(f"Row {row} of batch {batch_id} was not sent.")
    if sent.message is None:
        return _answer(request, sent.fault, content_type="text/plain; charset=utf-8")
    if request.GET.get("kind") == "text":
        return _answer(request, sent.message.text, content_type="text/plain; charset=utf-8")
    return _answer(request, open_links_in_tabs(sent.message.html))


def _answer(request: SignedInRequest, content: str, *, content_type: str | None = None) -> HttpResponse:
    headers = {"Content-Security-Policy": message_policy(request), "Referrer-Policy": "no-referrer"}
    return HttpResponse(content, content_type=content_type, headers=headers)


def open_links_in_tabs(html: str) -> str:
    """Add a ``<base>`` to a message, so that a pressed link opens in a new tab and not in the small frame.

    A browser gives such a tab no way back to our page (HTML, "get an element's noopener"). The element goes after the
    document type, because before it a browser would lay the message out as pages of the nineties.
    """
    found = _DOCTYPE.search(html[:_DOCTYPE_MAX_OFFSET])
    place = found.end() if found else 0
    return f'{html[:place]}<base target="_blank">{html[place:]}'
