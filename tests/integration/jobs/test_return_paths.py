"""What the relay sees in MAIL FROM, and what a refusal in the session teaches about the address."""

from __future__ import annotations

import pytest
from django.conf import LazySettings

from batches.jobs import creation
from batches.models import Batch, EmailStatus, EmailTemplate, JobKind, Relay, Return, ReturnKind
from batches.models.relay import DEFAULT_RELAY
from batches.relays import sync
from batches.returns.recording import record_events
from batches.returns.reports import read_report
from batches.suppressions import is_suppressed
from tests.integration.jobs.conftest import MakeBatch
from tests.integration.jobs.whole_jobs import replay, run_to_end, statuses
from tests.smtpserver import Rule, RunningServer

BOUNCE_ADDRESS = "bounce@news.example.org"

DSN = """\
From: MAILER-DAEMON@mx.example.com (Mail Delivery System)
To: {return_path}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

I'm sorry to have to inform you that your message could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Final-Recipient: rfc822; {recipient}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <{recipient}>: Recipient address rejected: User unknown

--b
Content-Type: message/rfc822

{original}
--b--
"""


@pytest.fixture(autouse=True)
def own_return_paths(settings: LazySettings, transactional_db: None) -> None:
    settings.BOUNCE_ADDRESS = BOUNCE_ADDRESS


def senders(relay: RunningServer, batch: Batch) -> dict[str, str]:
    """Return MAIL FROM by recipient."""
    wanted = set(batch.emails.values_list("address", flat=True))
    return {entry.recipient: entry.sender for entry in relay.accepted() if entry.recipient in wanted}


def send_back(relay: RunningServer, batch: Batch) -> list[bytes]:
    """Return a delivery status for each message that the relay took."""
    wanted = set(batch.emails.values_list("address", flat=True))
    return [
        DSN.format(
            return_path=entry.sender, recipient=entry.recipient, original=f"Message-ID: {entry.message_id}\n\nHello"
        ).encode()
        for entry in relay.accepted()
        if entry.recipient in wanted
    ]


@pytest.mark.parametrize("text", ["Dear {{ name }}", "Dear {{ name|upper }}"], ids=["plain", "rendered by a child"])
def test_each_message_has_a_return_path_that_matches_its_bounce(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, text: str
) -> None:
    EmailTemplate.objects.filter(pk=template.pk).update(text=text)
    template.refresh_from_db()
    batch = make_batch(40)
    run_to_end(creation.create_job(batch, template=template, user=None))
    paths = senders(relay, batch)
    assert len(set(paths.values())) == 40
    assert all(path.startswith("bounce+") and path.endswith("@news.example.org") for path in paths.values())
    assert all(len(path.partition("@")[0]) <= 64 for path in paths.values())
    for raw in send_back(relay, batch):
        record_events(read_report(raw, door="lmtp").events)
    batch.refresh_from_db()
    assert (batch.returned_count, batch.sent_count) == (40, 40)
    assert dict(Return.objects.values_list("email__address", "return_class")) == dict.fromkeys(paths, "gone")
    assert all(is_suppressed(address) for address in paths)


@pytest.mark.parametrize("why", ["the relay wants the login", "no BOUNCE_ADDRESS"])
def test_sender_is_kept_and_the_message_id_matches(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings, why: str
) -> None:
    if why == "no BOUNCE_ADDRESS":
        settings.BOUNCE_ADDRESS = ""
    else:
        sync()
        Relay.objects.filter(name=DEFAULT_RELAY).update(keeps_return_path=False)
    batch = make_batch(30)
    job = run_to_end(creation.create_job(batch, template=template, user=None))
    assert set(senders(relay, batch).values()) == {job.from_email}
    for raw in send_back(relay, batch):
        assert record_events(read_report(raw, door="imap").events).recorded == 1
    batch.refresh_from_db()
    assert batch.returned_count == 30


def test_replay_has_the_same_return_path_and_another_message_id(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(1)
    run_to_end(creation.create_job(batch, template=template, user=None))
    run_to_end(replay(batch))
    first, second = send_back(relay, batch)
    one, two = read_report(first, door="lmtp").events[0], read_report(second, door="lmtp").events[0]
    assert one.return_path == two.return_path
    assert one.message_id != two.message_id
    assert record_events([one, two]).recorded == 2
    batch.refresh_from_db()
    assert batch.returned_count == 1


@pytest.mark.parametrize(
    ("reply", "return_class", "is_gone"),
    [
        ("550 5.1.1 User unknown in local recipient table", "gone", True),
        ("550 No such user here", "gone", True),
        ("552 5.2.2 Mailbox full", "full", False),
        ("550 5.7.1 Message blocked as spam", None, False),
    ],
)
def test_refusal_in_the_session_is_classed_as_a_bounce_is(
    relay: RunningServer,
    make_batch: MakeBatch,
    template: EmailTemplate,
    reply: str,
    return_class: str | None,
    is_gone: bool,
) -> None:
    batch = make_batch(20)
    address = batch.emails.get(row=7).address
    relay.configure(rules=[Rule(stage="rcpt", action=reply, recipient=address)])
    run_to_end(creation.create_job(batch, template=template, user=None))
    assert statuses(batch) == {EmailStatus.SENT: 19, EmailStatus.FAILED: 1}
    batch.refresh_from_db()
    assert batch.returned_count == 0
    found = [(each.kind, each.return_class, each.door) for each in Return.objects.all()]
    assert found == ([(ReturnKind.REFUSED, return_class, "session")] if return_class else [])
    assert is_suppressed(address) == is_gone
    again = make_batch(addresses=[address, "another@x.org"])
    run_to_end(creation.create_job(again, template=template, user=None))
    assert again.emails.get(address=address).status == (EmailStatus.SUPPRESSED if is_gone else EmailStatus.FAILED)


@pytest.mark.parametrize("is_refused_again", [True, False])
def test_replay_attempts_those_whom_the_relay_refused(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, is_refused_again: bool
) -> None:
    batch = make_batch(12)
    address = batch.emails.get(row=7).address
    relay.configure(rules=[Rule(stage="rcpt", action="550 5.1.1 No such user", recipient=address)])
    run_to_end(creation.create_job(batch, template=template, user=None))
    assert is_suppressed(address)
    if not is_refused_again:
        relay.configure(rules=[])
    run_to_end(replay(batch, JobKind.FAILED))
    assert statuses(batch)[EmailStatus.FAILED] == is_refused_again
    assert is_suppressed(address) == is_refused_again


def test_replay_leaves_those_alone_who_came_back(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(3)
    run_to_end(creation.create_job(batch, template=template, user=None))
    raw = send_back(relay, batch)[0]
    events = read_report(raw, door="lmtp").events
    record_events(events)
    run_to_end(replay(batch, JobKind.ALL))
    taken = [entry.recipient for entry in relay.accepted()]
    assert taken.count(events[0].recipient) == 1
