"""The page of one recipient of a batch: what became of the mail, each attempt, what came back, and the message.

A batch's id and a row enter. A page leaves, on which the message is the content of a frame (``web.sent_message``).
"""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from batches.directory import find_person_of
from batches.models import Email, EmailStatus, Suppression
from batches.suppressions import find_digest, list_of
from batches.web.listed_emails import list_emails
from batches.web.requests import SignedInRequest, find_batch
from batches.web.sent_message import FRAME_SANDBOX, read_sent_message

FATES = {
    EmailStatus.PENDING: gettext_lazy("The mail was not sent yet."),
    EmailStatus.SENDING: gettext_lazy("The mail is being sent now."),
    EmailStatus.SENT: gettext_lazy("The mail was sent: the mail server accepted it."),
    EmailStatus.FAILED: gettext_lazy("The mail could not be delivered. The mail server's answer says why."),
    EmailStatus.UNKNOWN: gettext_lazy(
        "Nobody knows whether the mail arrived, because sending was interrupted before the mail server answered."
    ),
    EmailStatus.SUPPRESSED: gettext_lazy("Nothing was sent, because the address was on the do-not-send list."),
    EmailStatus.CANCELLED: gettext_lazy("Nothing was sent, because the batch was cancelled first."),
}
"""What became of one mail, by its state."""


@require_safe
@login_required
def show_recipient(request: SignedInRequest, batch_id: int, row: int) -> HttpResponse:
    """Show what became of the mail to one recipient, and the message."""
    batch = find_batch(request, batch_id)
    email = batch.emails.with_state().filter(row=row).first()
    if email is None:
        raise Http404(f"Batch {batch_id} has no row {row}.")
    [listed] = list_emails([email])
    context = {
        "batch": batch,
        "listed": listed,
        "fate": FATES[listed.history.state],
        "suppressed": say_suppressed(email),
        "person": find_person_of(request.user, email),
        "sent": read_sent_message(batch, email, user_id=request.user.pk),
        "sandbox": FRAME_SANDBOX,
        "jobs": batch.jobs.select_related("created_by").order_by("pk"),
        "neighbours": [
            batch.emails.filter(row__lt=row).order_by("-row").values_list("row", flat=True).first(),
            batch.emails.filter(row__gt=row).order_by("row").values_list("row", flat=True).first(),
        ],
    }
    response = render(request, "batches/recipient.html", context)
    add_never_cache_headers(response)  # names and addresses stay in no cache
    return response


def say_suppressed(email: Email) -> list[str]:
    """Say why an address gets no mail now, a phrase for each entry of the list. Empty: it gets all mail."""
    if not email.address:
        return []
    digest = bytes(email.address_digest) if email.address_digest else find_digest(email.address)
    return [say_entry(row) for row in list_of(digest).select_related("topic")]


def say_entry(row: Suppression) -> str:
    """Say why an entry is on the do-not-send list: "unsubscribed (news)"."""
    reason = str(row.get_reason_display())
    if row.topic is None:
        return reason
    return _("%(reason)s (%(topic)s)") % {"reason": reason, "topic": row.topic.name}
