"""Lanes that deliver through another Django email backend: what arrives, and what follows from each exception."""

from __future__ import annotations

import smtplib
import threading
import time
from collections import Counter
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.conf import LazySettings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models.functions import Now

from batches.delivery.terms import LaneEnd
from batches.jobs import creation
from batches.jobs.run_lane import run_lane
from batches.jobs.sweep import sweep
from batches.models import Attempt, Email, EmailJob, EmailStatus, EmailTemplate, RelayPause
from tests.integration.jobs.conftest import MakeBatch
from tests.integration.jobs.whole_jobs import accepted, wait_for
from tests.smtpserver import Rule, RunningServer

DJANGO_SMTP = "django.core.mail.backends.smtp.EmailBackend"


class ApiError(Exception):
    """It carries the HTTP status, as the exceptions of anymail and requests do."""

    def __init__(self, status_code: int) -> None:
        super().__init__(f"the provider answered {status_code}")
        self.status_code = status_code


class RecipientsRefused(Exception):
    """It has the name of anymail's exception."""


FAULTS: dict[str, Exception] = {
    "smtp550": smtplib.SMTPRecipientsRefused({"smtp550@x.org": (550, b"5.1.1 No such user")}),
    "smtp450": smtplib.SMTPRecipientsRefused({"smtp450@x.org": (450, b"4.2.0 Greylisted")}),
    "data554": smtplib.SMTPDataError(554, b"5.6.0 Not this"),
    "data451": smtplib.SMTPDataError(451, b"4.3.0 Later"),
    "dropped": smtplib.SMTPServerDisconnected("Connection unexpectedly closed"),
    "reset": ConnectionResetError(104, "Connection reset by peer"),
    "slow": TimeoutError("timed out"),
    "bug": ValueError("the backend has a bug"),
    "refused": RecipientsRefused("the provider does not like it"),
    "http400": ApiError(400),
    "http429": ApiError(429),
    "http500": ApiError(500),
    "http503": ApiError(503),
    "login": smtplib.SMTPAuthenticationError(535, b"5.7.8 Bad login"),
    "http401": ApiError(401),
    "connect": ConnectionRefusedError(111, "Connection refused"),
    "sender": smtplib.SMTPSenderRefused(550, b"5.7.1 Not you", "from@x.org"),
    "closing": smtplib.SMTPDataError(421, b"4.3.2 Going down"),
}


class Faulty(BaseEmailBackend):
    """Keep the messages that it is given, and raise the exception that the recipient's name asks for."""

    sent: ClassVar[list[EmailMultiAlternatives]] = []
    threads: ClassVar[set[str]] = set()
    instances: ClassVar[list[str]] = []

    def open(self) -> bool:
        self.instances.append("opened")
        return True

    def close(self) -> None:
        self.instances.append("closed")

    def send_messages(self, email_messages: Any) -> int:
        (message,) = email_messages
        self.threads.add(threading.current_thread().name)
        name = message.to[0].partition("@")[0]
        if name in FAULTS:
            raise FAULTS[name]
        if name == "nothing":
            return 0
        self.sent.append(message)
        return 1


class Hanging(Faulty):
    """Do not return from sending until the test says so."""

    release: ClassVar[threading.Event] = threading.Event()

    def send_messages(self, email_messages: Any) -> int:
        self.release.wait(30)
        return 1


class Unopenable(Faulty):
    def open(self) -> bool:
        raise smtplib.SMTPConnectError(554, b"Go away")


@pytest.fixture
def faulty(settings: LazySettings) -> type[Faulty]:
    settings.SEND_BACKEND = f"{__name__}.Faulty"
    for kept in (Faulty.sent, Faulty.threads, Faulty.instances):
        kept.clear()
    return Faulty


def send(addresses: list[str], make_batch: MakeBatch, template: EmailTemplate) -> tuple[EmailJob, str]:
    batch = make_batch(addresses=addresses)
    job = creation.create_job(batch, template=template, user=None)
    end = run_lane(lane_id=job.lanes.get(number=0).pk)
    job.refresh_from_db()
    return job, end


def test_message_keeps_our_headers_when_a_backend_sends_it(
    faulty: type[Faulty], make_batch: MakeBatch, template: EmailTemplate
) -> None:
    job, end = send(["one@example.org", "zoë@exämple.org"], make_batch, template)
    assert (end, job.sent_count) == (LaneEnd.DRY.value, 2)
    message = next(each for each in faulty.sent if each.to == ["one@example.org"])
    assert (message.subject, message.body) == ("Hello Zoë 2", "Hi Zoë 2")
    assert [tuple(part) for part in message.alternatives] == [("<p>Zoë 2</p>", "text/html")]
    assert message.from_email == job.from_email
    parsed = message_from_bytes(message.message().as_bytes(), policy=policy.default)
    headers = {name: parsed.get_all(name) for name in ("Auto-Submitted", "Precedence", "Message-ID", "Date")}
    assert headers["Auto-Submitted"] == ["auto-generated"]
    assert headers["Precedence"] == ["bulk"]
    assert [len(values or ()) for values in headers.values()] == [1] * 4
    assert {each.to[0] for each in faulty.sent} == {"one@example.org", "zoë@exämple.org"}
    email = Email.objects.get(batch=job.batch, address="one@example.org")
    assert (email.code, email.reply) == (None, "The email backend accepted it.")
    assert Attempt.objects.filter(email=email).values_list("relay", flat=True).get() == f"{__name__}.Faulty"


def test_each_connection_keeps_one_backend_open_in_one_thread_when_many_are_sent(
    faulty: type[Faulty], make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_CONNECTIONS = 3
    job, _ = send([f"p{number}@example.org" for number in range(300)], make_batch, template)
    assert job.sent_count == 300
    assert len({message.extra_headers["Message-ID"] for message in faulty.sent}) == 300
    assert 1 <= len(faulty.threads) <= 3
    opened, closed = faulty.instances.count("opened"), faulty.instances.count("closed")
    assert opened == closed <= 3


@pytest.mark.parametrize("kind", ["text", "html"])
def test_message_has_one_body_when_its_template_has_one(
    faulty: type[Faulty], make_batch: MakeBatch, template: EmailTemplate, kind: str
) -> None:
    EmailTemplate.objects.filter(pk=template.pk).update(**{"text": "", "html": "", kind: "Dear {{ name }},\nbye"})
    template.refresh_from_db()
    send(["one@example.org"], make_batch, template)
    (message,) = faulty.sent
    assert message.content_subtype == {"text": "plain", "html": "html"}[kind]
    assert message.body.rstrip("\n") == "Dear Zoë 2,\nbye"
    assert message.alternatives == []


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("smtp550", EmailStatus.FAILED, "No such user"),
        ("data554", EmailStatus.FAILED, "Not this"),
        ("http400", EmailStatus.FAILED, "400"),
        ("refused", EmailStatus.FAILED, "does not like"),
        ("smtp450", EmailStatus.PENDING, "Greylisted"),
        ("data451", EmailStatus.PENDING, "Later"),
        ("http429", EmailStatus.PENDING, "429"),
        ("http503", EmailStatus.PENDING, "503"),
        ("nothing", EmailStatus.PENDING, "sent nothing"),
        ("dropped", EmailStatus.UNKNOWN, "may have gone out"),
        ("reset", EmailStatus.UNKNOWN, "may have gone out"),
        ("slow", EmailStatus.UNKNOWN, "may have gone out"),
        ("http500", EmailStatus.UNKNOWN, "may have gone out"),
        ("bug", EmailStatus.UNKNOWN, "may have gone out"),
    ],
)
def test_only_that_email_is_affected_when_backend_raises(
    faulty: type[Faulty],
    make_batch: MakeBatch,
    template: EmailTemplate,
    settings: LazySettings,
    name: str,
    status: EmailStatus,
    words: str,
) -> None:
    settings.SEND_ON_CRASH = "hold"
    settings.SEND_RETRY_SECONDS = 60
    settings.SEND_CONNECTIONS = 1
    job, end = send(["before@x.org", f"{name}@x.org", "after@x.org"], make_batch, template)
    assert end == LaneEnd.DRY.value
    email = Email.objects.get(batch=job.batch, address=f"{name}@x.org")
    assert (email.status, email.attempts) == (status, 1)
    assert words in email.reply
    assert Email.objects.filter(batch=job.batch, status=EmailStatus.SENT).count() == 2


@pytest.mark.parametrize("name", ["login", "http401", "connect", "sender", "closing"])
def test_no_attempt_is_counted_and_job_says_why_when_backend_takes_no_mail(
    faulty: type[Faulty], make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings, name: str
) -> None:
    settings.SEND_CONNECTIONS = 1
    job, end = send([f"{name}@x.org", "other@x.org"], make_batch, template)
    assert end == LaneEnd.RELAY_DOWN.value
    assert job.last_error
    assert Counter(Email.objects.filter(batch=job.batch).values_list("status", "attempts")) == {
        (EmailStatus.PENDING, 0): 2
    }


@pytest.mark.parametrize(
    ("path", "words"), [(f"{__name__}.Unopenable", "554 Go away"), ("no.such.Backend", "No module named")]
)
def test_job_says_why_when_backend_cannot_be_opened(
    make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings, path: str, words: str
) -> None:
    settings.SEND_BACKEND = path
    job, end = send(["one@x.org"], make_batch, template)
    assert end == LaneEnd.RELAY_DOWN.value
    assert words in job.last_error
    assert job.relay_retry_at is not None
    assert Email.objects.get(batch=job.batch).attempts == 0
    assert set(job.lanes.values_list("lease_until", flat=True)) == {None}
    settings.SEND_BACKEND = f"{__name__}.Faulty"
    RelayPause.objects.all().delete()
    EmailJob.objects.filter(pk=job.pk).update(relay_retry_at=Now())
    assert run_lane(lane_id=job.lanes.get(number=0).pk) == LaneEnd.DRY.value
    job.refresh_from_db()
    assert (job.sent_count, job.last_error) == (1, "")
    assert Email.objects.get(batch=job.batch).attempts == 1


def test_email_is_in_doubt_when_backend_does_not_return(
    make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_BACKEND, settings.SEND_ON_CRASH = f"{__name__}.Hanging", "hold"
    settings.SEND_FINAL_REPLY_TIMEOUT_SECONDS = 0.5  # The backend never returns by itself.
    Hanging.release.clear()
    try:
        job, _ = send(["one@x.org"], make_batch, template)
    finally:
        Hanging.release.set()
    email = Email.objects.get(batch=job.batch)
    assert email.status == EmailStatus.UNKNOWN
    assert "in time" in email.reply


def test_files_are_written_when_backend_is_filebased(
    make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings, tmp_path: Path
) -> None:
    settings.SEND_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path)
    job, _ = send([f"f{number}@example.org" for number in range(20)], make_batch, template)
    assert job.sent_count == 20
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert [written.count(b"To: f%d@example.org" % number) for number in range(20)] == [1] * 20


def test_everyone_gets_one_mail_when_backend_is_djangos_smtp(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_BACKEND = DJANGO_SMTP
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", relay.port
    addresses = [f"d{number}@example.org" for number in range(500)]
    addresses += ["fail-550-dj@x.org", "defer-450-once-dj@x.org", "fail-554-dot-dj@x.org"]
    began = time.monotonic()
    job, _ = send(addresses, make_batch, template)
    print(f"{500 / (time.monotonic() - began):.0f} messages/s through Django's SMTP backend")  # noqa: T201
    wait_for(lambda: sweep().enqueued)
    run_lane(lane_id=job.lanes.get(number=0).pk)
    counts = accepted(relay, job.batch)
    assert set(counts.values()) == {1}
    assert len(counts) == 501
    failed = Email.objects.filter(batch=job.batch, status=EmailStatus.FAILED).order_by("row")
    assert [email.code for email in failed] == [550, 554]
    ids = {entry.message_id for entry in relay.accepted() if entry.recipient in counts}
    assert len(ids) == 501


def test_message_ids_are_those_of_our_own_smtp_when_backend_changes(
    relay: RunningServer, faulty: type[Faulty], make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    relay.configure(rules=(Rule(stage="dot", action="451 4.3.0 Later", recipient="^same-", limit=1),))
    settings.SEND_BACKEND = ""
    job, _ = send(["same-id@x.org"], make_batch, template)
    settings.SEND_BACKEND = DJANGO_SMTP
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", relay.port
    wait_for(lambda: sweep().enqueued)
    run_lane(lane_id=job.lanes.get(number=0).pk)
    (entry,) = [each for each in relay.accepted() if each.recipient == "same-id@x.org"]
    assert entry.message_id.startswith("<")
    assert Email.objects.get(batch=job.batch).attempts == 2


def test_messages_are_whole_when_parsed_again(
    faulty: type[Faulty], make_batch: MakeBatch, template: EmailTemplate
) -> None:
    text = "Grüße an {{ name }}\n.\n" + "lang " * 400 + "\n-- \nFrom here"
    EmailTemplate.objects.filter(pk=template.pk).update(text=text, subject="{{ name }} " + "ä" * 120)
    template.refresh_from_db()
    send(["one@example.org"], make_batch, template)
    (message,) = faulty.sent
    assert message.subject == "Zoë 2 " + "ä" * 120
    assert message.body == text.replace("{{ name }}", "Zoë 2")
    parsed = message_from_bytes(message.message().as_bytes(), policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    body = parsed.get_body(("plain",))
    assert body is not None
    assert body.get_content().rstrip("\n") == message.body
