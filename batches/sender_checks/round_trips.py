"""Send a round trip, and find out what was expected of it.

It goes out as a batch of its own with one recipient, the return mailbox. So it takes just the way of all mail: the same
relay, headers, return path and signature.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from batches import intake, unsubscribe_tokens
from batches.jobs import creation
from batches.mailboxes import parse_mailbox
from batches.models import (
    NEWS_TOPIC,
    Attempt,
    Batch,
    Email,
    EmailJob,
    EmailStatus,
    EmailTemplate,
    RoundTrip,
    Sender,
    Topic,
)
from batches.outcomes import Outcome
from batches.relays.registry import find_routes
from batches.rendering.message import derive_message_key, make_message_id
from batches.returns.round_trips import make_address, make_token
from batches.sender_checks.arrived import Expected

SUBJECT = "Check of the sender {key}"
TEXT = (
    "The sender check has sent this message to its own return mailbox, and reads there how it arrived. "
    "Nobody needs to do anything.\n"
)


def why_not() -> str:
    """Say why no round trip can be sent, and what to do. Empty: one can."""
    if not settings.BOUNCE_ADDRESS:
        return "A round trip needs a return mailbox. Set BOUNCE_ADDRESS to its address, as bounce@news.example.org."
    if not settings.RETURNS_URL:
        return "A round trip needs a reader of the return mailbox. Set RETURNS_URL to where returns are read."
    return ""


def start_round_trip(sender: Sender, *, user: User | None) -> RoundTrip:
    """Send a message from a sender to the return mailbox. A door of returns notes when it arrives.

    Raises:
        ListRefused: BOUNCE_ADDRESS can't be used as an address. Nothing is kept.
        JobRefused: The user may not send from it, or no relay can carry it. Nothing is kept.
        NotPermitted: The user may not send.
    """
    token = make_token()
    topic = Topic.objects.filter(key=NEWS_TOPIC).first() if unsubscribe_tokens.is_ready() is None else None
    draft = intake.import_list([make_address(token)], user=user).batch
    try:
        with transaction.atomic():
            Batch.objects.filter(pk=draft.pk).update(filename=f"Round trip of {sender.key}"[:255], is_test=True)
            trip = RoundTrip.objects.create(sender=sender, batch=draft, token=token, is_news=topic is not None)
            creation.create_job(draft, template=_make_template(sender, topic), user=user, sender=sender.key)
    except Exception:  # a round trip that is not sent leaves no draft, whatever the reason
        intake.discard_draft(draft)
        raise
    return trip


def _make_template(sender: Sender, topic: Topic | None) -> EmailTemplate:
    """Return a template that is not stored: nobody should find it among theirs."""
    return EmailTemplate(
        key="round-trip", name="Round trip", subject=SUBJECT.format(key=sender.key), text=TEXT, topic=topic
    )


def find_last(sender: Sender) -> RoundTrip | None:
    """Return the last round trip of a sender."""
    return sender.round_trips.select_related("batch").order_by("-pk").first()


def find_expected(trip: RoundTrip) -> Expected | None:
    """Return what was sent. None: its email is gone, or no job has sent it."""
    email = Email.objects.filter(batch=trip.batch_id).order_by("row").first()
    job = EmailJob.objects.filter(batch=trip.batch_id).order_by("pk").first()
    if email is None or job is None:
        return None
    domain = parse_mailbox(job.from_email).domain  # a Message-ID has it as it was typed
    key = derive_message_key(settings.SECRET_KEY)
    return Expected(
        domain=domain.lower(),
        message_id=make_message_id(key=key, email_id=email.pk, job_id=job.pk, domain=domain),
        email_id=email.pk,
        is_news=trip.is_news,
        keeps_return_path=_keeps_return_path(email, sender_id=trip.sender_id),
    )


def _keeps_return_path(email: Email, *, sender_id: int) -> bool | None:
    """Whether the relay that took the message is one that gets a return path of our own. None: it is not known.

    An Attempt has the address of its relay. Relays may share one, as two logins at a provider do, or may have got
    another one since. The message may arrive before its attempt is recorded.
    """
    taken_by = set(Attempt.objects.filter(email=email, outcome=Outcome.SENT).values_list("relay", flat=True))
    routes = find_routes(sender_id=sender_id).routes
    answers = {route.takes_return_paths for route in routes if not taken_by or str(route.address) in taken_by}
    return answers.pop() if len(answers) == 1 else None


def say_way(trip: RoundTrip) -> str:
    """Say how far a round trip is that has not arrived."""
    email = Email.objects.filter(batch=trip.batch_id).first()
    if email is None or email.completed_at is None:
        reason = EmailJob.objects.filter(batch=trip.batch_id).values_list("last_error", flat=True).first()
        return f"The round trip is on its way to the mail server. {reason or ''}".strip()
    if email.status == EmailStatus.SENT:
        address = email.address or "its address with a part after the plus"
        return (
            "The mail server has taken the round trip, and it has not arrived yet. If that lasts longer than some "
            f"minutes, look whether the return mailbox takes mail for {address}, and whether manage.py readreturns "
            "runs."
        )
    code = f"{email.code} " if email.code else ""
    happened = {
        EmailStatus.FAILED: f"The mail server did not take the round trip: {code}{email.reply}",
        EmailStatus.UNKNOWN: f"Nobody knows whether the mail server has taken the round trip: {email.reply}",
        EmailStatus.CANCELLED: "The round trip was cancelled.",
    }.get(EmailStatus(email.status), f"The round trip was not sent: {email.reply}")
    return f"{happened.strip().rstrip('.:')}. Send another one when that is corrected."
