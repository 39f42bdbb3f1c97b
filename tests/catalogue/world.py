"""Make the states that the pages show: people, templates, lists, and batches in every status.

An empty database enters. A World leaves: who is signed in how, and the ids that addresses of pages need.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import EmailMessage as Mail

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client, override_settings
from django.utils import timezone
from rq import Worker

from batches import credentials, intake, redis_client, unsubscribe_tokens
from batches.jobs import approvals, creation, queues
from batches.models import (
    Attempt,
    Batch,
    BatchStatus,
    Email,
    EmailJob,
    EmailStatus,
    EmailTemplate,
    JobStatus,
    Lane,
    Relay,
    Return,
    ReturnClass,
    ReturnKind,
    Sender,
    SuppressionReason,
    TemplateKind,
    Topic,
    Webhook,
)
from batches.outcomes import Outcome
from batches.rendering.message import make_message_id
from batches.suppressions import find_digest, suppress
from batches.template_versions import save_template
from emailbatch.localstack import addresses
from emailbatch.localstack.inbox_store import InboxWriter, Incoming
from tests.catalogue.accounts import make_more_users, make_people
from tests.catalogue.marks import make_marks
from tests.catalogue.recipients import find_recipients, purge_old
from tests.catalogue.texts import FULL, PLAIN, Texts

HTML = (
    "<h1>Dear {{ name }}</h1><p>On Saturday we play in <b>{{ %s }}</b>. "
    '<a href="https://example.org/tickets">Get your ticket</a>.</p>'
)
TEXT = "Dear {{ name }},\n\non Saturday we play in {{ %s }}.\nTickets: https://example.org/tickets\n"
RECIPIENTS = 12


@dataclass(kw_only=True)
class World:
    """What was made."""

    texts: Texts
    ids: dict[str, int | str] = field(default_factory=dict)
    """What an address of a page names in braces: ``{running}`` is the id of the batch that is being sent."""
    cookies: dict[str, str] = field(default_factory=dict)
    """The session of each user, by the role: ``admin``, or one of PEOPLE of the accounts."""
    users: dict[str, User] = field(default_factory=dict)


def build(make: Callable[[], World]) -> World:
    """Make a world in a thread of its own: Playwright keeps an event loop in this one, in which nothing can publish."""

    def work() -> World:
        try:
            return make()
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(work).result()


def build_empty() -> World:
    """Make the users alone: the site on its first day."""
    world = World(texts=PLAIN)
    make_people(world)
    return world


def build_world(texts: Texts) -> World:
    """Make everything."""
    world = World(texts=texts)
    make_people(world)
    _make_senders(world)
    _make_templates(world)
    _make_letter(world)
    _make_worker()
    for name, make in BATCHES.items():
        world.ids[name] = make(world).pk
    _make_returns(world)
    _make_suppressions(world)
    find_recipients(world)
    purge_old(world)
    _make_inbox(world)
    make_more_users(world)
    _make_others(world)
    return world


def clear() -> None:
    """Empty the tables again, and what lies in Redis and the inbox."""
    call_command("flush", verbosity=0, interactive=False)
    with redis_client.connect() as client:
        client.flushall()
    addresses.inbox_file(settings.DATA_DIR).unlink(missing_ok=True)


def _make_senders(world: World) -> None:
    Relay.objects.get_or_create(name="default")
    sender, _ = Sender.objects.get_or_create(
        key="office", defaults={"display_name": "The office", "address": "office@example.org"}
    )
    topic, _ = Topic.objects.get_or_create(
        key="concerts", defaults={"name": "Concerts", "description": "When and where we play.", "kind": "news"}
    )
    world.ids |= {"sender": sender.pk, "topic": topic.pk, "relay": Relay.objects.get(name="default").pk}


def _make_templates(world: World) -> None:
    texts, owner = world.texts, world.users["sender"]
    field_name = _field_of(texts)
    template = EmailTemplate(
        key=texts.template_key[:100],
        name=texts.template_name[:200],
        subject=texts.subject,
        html=HTML % field_name,
        text=TEXT % field_name,
        is_default=True,
        owner=owner,
    )
    save_template(template, by=owner)
    template.text += "\nWe look forward to seeing you.\n"
    save_template(template, by=owner)
    unused = EmailTemplate(key="reminder", name="Reminder", subject="A reminder", text="Dear {{ name }}", owner=owner)
    save_template(unused, by=owner)
    world.ids |= {"template": template.key, "template_id": template.pk}


def _make_letter(world: World) -> None:
    """Write a letter in Markdown, as the editor posts it."""
    client = Client()
    client.force_login(User.objects.get(pk=world.users["sender"].pk))
    field_name = _field_of(world.texts)
    parts = {
        "name": "Rehearsal",
        "key": "rehearsal",
        "kind": TemplateKind.MARKDOWN,
        "subject": world.texts.subject,
        "source": f"Dear {{{{ name }}}},\n\n# Rehearsal\n\nWe meet in **{{{{ {field_name} }}}}**.\n\n- Bring music.",
    }
    answer = client.post("/templates/new/", parts)
    assert answer.status_code == 302, answer.content


def _field_of(texts: Texts) -> str:
    return str(import_list(texts, None, rows=1, is_kept=False).merge_fields[1])


def _make_worker() -> None:
    """Register a worker, so that the pages do not say that there is none. It does nothing."""
    worker = Worker([queues.open_queue("default")], connection=queues.client(), name="catalogue")
    worker.register_birth()  # type: ignore[no-untyped-call]


def import_list(texts: Texts, user: User | None, *, rows: int = RECIPIENTS, is_kept: bool = True) -> Batch:
    """Import a real file: people, two rows that cannot be used, and one address twice."""
    lines = [f"Name;E-Mail;{texts.heading}"]
    lines += [f"{texts.names[n % 12]};{texts.make_address(n)};{texts.town}" for n in range(rows)]
    if is_kept:
        lines += [
            f"{texts.names[0]};ned@@example;{texts.town}",
            f"Twice;{texts.make_address(0)};",
            f"{texts.names[1]};;",
        ]
    content = "\n".join(lines).encode()
    batch = intake.import_csv(io.BytesIO(content), filename=texts.filename, user=user).batch
    if not is_kept:
        batch.delete()
    return batch


def _make_odd_draft(world: World) -> Batch:
    """A list that does not fit: a field of its template has no column, and two columns hold addresses."""
    content = b"Child;Mother;Father\nMia;eva@example.org;karl@example.org\nBen;;karl@example.org\n"
    filename = f"parents-{world.texts.filename}"
    return intake.import_csv(io.BytesIO(content), filename=filename, user=world.users["sender"]).batch


def _make_sent(
    world: World,
    status: BatchStatus,
    job_status: JobStatus,
    *,
    name: str = "",
    job_columns: Mapping[str, object] | None = None,
    **counts: int,
) -> Batch:
    """Make a batch with a job, and give its emails these statuses in the order of the file."""
    batch = import_list(world.texts, world.users["sender"])
    now = timezone.now()
    is_live = job_status in (JobStatus.SCHEDULED, JobStatus.QUEUED, JobStatus.PROCESSING, JobStatus.PAUSED)
    ended_at = None if is_live else now - timedelta(minutes=3)
    template = EmailTemplate.objects.get(is_default=True)
    job = EmailJob.objects.create(
        batch=batch,
        status=job_status,
        template=template,
        template_key=template.key,
        subject=template.subject,
        html=template.html,
        text=template.text,
        from_email="The office <office@example.org>",
        total_count=batch.total_count,
        created_by=world.users["sender"],
        started_at=now - timedelta(minutes=5),
        completed_at=ended_at,
        **(job_columns or {}),
    )
    done = {key: counts.get(key, 0) for key in ("sent", "failed", "unknown")}
    in_lane = {f"{key}_count": count for key, count in done.items()}
    lane = Lane.objects.create(
        job=job, number=1, worker="worker-1", rate_per_second=3 if is_live else 0, **(in_lane if is_live else {})
    )
    _give_statuses(batch, lane, texts=world.texts, counts=counts)
    columns = {} if is_live else in_lane | {"cancelled_count": counts.get("cancelled", 0)}
    job_counts = {} if is_live else {"sent_count": done["sent"], "failed_count": done["failed"]}
    EmailJob.objects.filter(pk=job.pk).update(**job_counts)
    make_marks(job, done)
    Batch.objects.filter(pk=batch.pk).update(status=status, completed_at=ended_at, name=name, **columns)
    world.ids["job"], world.ids["email"] = job.pk, batch.emails.order_by("row")[0].pk
    return batch


def _give_statuses(batch: Batch, lane: Lane, *, texts: Texts, counts: dict[str, int]) -> None:
    statuses = [EmailStatus(status) for status, count in counts.items() for _ in range(count)]
    replies = {
        EmailStatus.SENT: (250, "2.0.0 Ok: queued as 4F1A2B", Outcome.SENT),
        EmailStatus.FAILED: (550, texts.reply, Outcome.FAILED),
        EmailStatus.UNKNOWN: (None, "The connection ended before the mail server answered.", Outcome.UNKNOWN),
    }
    now = timezone.now()
    for email, status in zip(batch.emails.order_by("row"), statuses, strict=False):
        email.status = status
        if status in replies:
            email.code, email.reply, outcome = replies[status]
            email.attempts, email.lane, email.completed_at = 2, lane, now
            first = Attempt(email=email, lane=lane, number=1, outcome=Outcome.DEFERRED, code=452, reply=FULL)
            last = Attempt(email=email, lane=lane, number=2, outcome=outcome, code=email.code, reply=email.reply)
            if status != EmailStatus.SENT:
                Attempt.objects.bulk_create([first, last])
            else:
                email.attempts = 1
        email.save()


def _make_running(world: World) -> Batch:
    return _make_sent(
        world, BatchStatus.PROCESSING, JobStatus.PROCESSING, name=world.texts.batch_name, sent=4, failed=2, pending=6
    )


def _make_waiting(world: World) -> Batch:
    waits = {
        "last_error": f"The mail server does not accept mail now: {world.texts.reply}",
        "relay_retry_at": timezone.now() + timedelta(hours=2),
    }
    return _make_sent(world, BatchStatus.PROCESSING, JobStatus.PROCESSING, job_columns=waits, sent=4, pending=8)


def _make_scheduled(world: World) -> Batch:
    later = {"scheduled_at": timezone.now() + timedelta(days=2)}
    return _make_sent(world, BatchStatus.SCHEDULED, JobStatus.SCHEDULED, job_columns=later, pending=12)


def _make_test(world: World) -> Batch:
    """A test of a letter, which is listed apart from the batches."""
    batch = _make_sent(world, BatchStatus.COMPLETED, JobStatus.COMPLETED, sent=12)
    Batch.objects.filter(pk=batch.pk).update(is_test=True)
    return batch


def _make_asked(world: World) -> Batch:
    """A draft that waits for the approval of a second person."""
    batch = import_list(world.texts, world.users["sender"])
    user = User.objects.get(pk=world.users["sender"].pk)
    with override_settings(APPROVAL_ABOVE=2):
        try:
            creation.send_once(batch, template=EmailTemplate.objects.get(is_default=True), user=user, sender="office")
        except creation.ApprovalAsked:
            return batch
    raise AssertionError("No approval was asked for.")


def _make_refused(world: World) -> Batch:
    batch = _make_asked(world)
    with override_settings(APPROVAL_ABOVE=2), transaction.atomic():
        approvals.refuse(batch, by=User.objects.get(username="approver"), reason="The date is wrong.")
    return batch


BATCHES: dict[str, Callable[[World], Batch]] = {
    "draft": lambda world: import_list(world.texts, world.users["sender"]),
    "odd_draft": _make_odd_draft,
    "asked": _make_asked,
    "refused": _make_refused,
    "scheduled": _make_scheduled,
    "queued": lambda world: _make_sent(world, BatchStatus.PENDING, JobStatus.QUEUED, pending=12),
    "paused": lambda world: _make_sent(world, BatchStatus.PAUSED, JobStatus.PAUSED, sent=5, pending=7),
    "cancelled": lambda world: _make_sent(
        world, BatchStatus.CANCELLED, JobStatus.CANCELLED, sent=3, failed=1, cancelled=8
    ),
    "failed": lambda world: _make_sent(world, BatchStatus.FAILED, JobStatus.FAILED, failed=12),
    "completed": lambda world: _make_sent(world, BatchStatus.COMPLETED, JobStatus.COMPLETED, sent=12),
    "mixed": lambda world: _make_sent(
        world, BatchStatus.COMPLETED, JobStatus.COMPLETED, name=world.texts.batch_name, sent=8, failed=3, unknown=1
    ),
    "test": _make_test,
    "purged": lambda world: _make_sent(world, BatchStatus.COMPLETED, JobStatus.COMPLETED, sent=9, failed=3),
    "waiting": _make_waiting,
    "running": _make_running,
}
"""Each batch by its name in addresses, in the order in which they are made."""


def _make_returns(world: World) -> None:
    """Let two sent emails of the batch "mixed" come back, and one recipient complain."""
    batch = Batch.objects.get(pk=world.ids["mixed"])
    kinds = (ReturnKind.BOUNCED, ReturnKind.BOUNCED, ReturnKind.COMPLAINED)
    for email, kind in zip(batch.emails.order_by("row")[:3], kinds, strict=True):
        Return.objects.create(
            batch=batch,
            email=email,
            kind=kind,
            return_class=ReturnClass.GONE if kind == ReturnKind.BOUNCED else ReturnClass.OTHER,
            status_code="5.1.1" if kind == ReturnKind.BOUNCED else "",
            text=world.texts.reply,
            domain=world.texts.domain,
            door="lmtp",
            event_key=f"catalogue-{email.pk}",
        )
    Batch.objects.filter(pk=batch.pk).update(returned_count=2, complained_count=1)


def _make_suppressions(world: World) -> None:
    for number, reason in enumerate(SuppressionReason):
        if reason != SuppressionReason.UNSUBSCRIBED:
            suppress(f"gone{number}@{world.texts.domain}", reason=reason, source="report from a mail server")
    suppress(world.texts.make_address(0), reason=SuppressionReason.BOUNCED, source="550 5.1.1")
    topic = Topic.objects.get(pk=world.ids["topic"])
    suppress(f"left@{world.texts.domain}", reason=SuppressionReason.UNSUBSCRIBED, topic=topic, source="link")
    digest = find_digest(world.texts.make_address(0))
    world.ids["unsubscribe"] = f"/u/{unsubscribe_tokens.make_token(topic.pk, digest)}"


def _make_inbox(world: World) -> None:
    writer = InboxWriter(addresses.inbox_file(settings.DATA_DIR))
    texts = world.texts
    emails = list(Email.objects.order_by("pk")[:3])
    for number in range(4):
        mail = Mail()
        if number < len(emails):  # the last one is of no batch
            mail["Message-ID"] = make_message_id(key=b"", email_id=emails[number].pk, job_id=0, domain="example.org")
        mail["From"], mail["To"] = "The office <office@example.org>", texts.make_address(number)
        mail["Subject"] = texts.subject.replace("{{ name }}", texts.names[number])
        mail.set_content(f"Dear {texts.names[number]},\n\nsee https://example.org/tickets\n")
        mail.add_alternative(f"<h1>Dear {texts.names[number]}</h1><p>{texts.town}</p>", subtype="html")
        incoming = Incoming(
            received_at=time.time(),
            sender="office@example.org",
            recipients=[texts.make_address(number)],
            raw=mail.as_bytes(),
        )
        writer.add([incoming])
    writer.close()


def _make_others(world: World) -> None:
    """What the pages of administrators and of the account list."""
    user = User.objects.get(pk=world.users["sender"].pk)
    for name in ("the shop", world.texts.batch_name[:100]):
        credentials.make_token(user, name=name, expires_at=timezone.now() + timedelta(days=90))
    hook = Webhook.objects.create(name="shop", url="https://shop.example.org/hook", events=["batch.ended"])
    world.ids["webhook"] = hook.pk
