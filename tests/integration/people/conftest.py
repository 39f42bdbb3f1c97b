"""A person whose address is everywhere, and readers that look for it in everything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import connection

from batches.jobs import queues
from batches.models import (
    Attempt,
    Batch,
    BatchStatus,
    Email,
    EmailStatus,
    EmailTemplate,
    JobStatus,
    Lane,
    RejectedRow,
    RejectionKind,
    Relay,
    RelayPause,
    Return,
    ReturnClass,
    ReturnKind,
    UnknownReport,
)
from batches.outcomes import Outcome, ReplyMeaning
from batches.suppressions import find_digest
from emailbatch.localstack import addresses
from emailbatch.localstack.inbox_store import InboxWriter, Incoming
from tests.conftest import MakeBatch, MakeJob
from tests.integration.conftest import Upload

ANN = "ann@example.org"
MakeAnn = Callable[[], Batch]


@pytest.fixture(autouse=True)
def own_inbox(settings: LazySettings, tmp_path: Path) -> Path:
    """An inbox of this test alone."""
    settings.DATA_DIR = tmp_path
    return addresses.inbox_file(tmp_path)


@pytest.fixture
def sent_to_ann(make_batch: MakeBatch, make_job: MakeJob) -> Batch:
    """A batch that has ended. Row 2 is Ann's and failed, and a cell of row 3 has her address."""
    batch = make_batch(BatchStatus.COMPLETED, failed=1, sent=2, rejected=1)
    batch.completed_at = batch.created_at
    batch.save()
    job = make_job(batch, JobStatus.COMPLETED, completed_at=batch.created_at, last_error=f"550 <{ANN}> unknown")
    lane = Lane.objects.create(job=job, number=0)
    ann = batch.emails.get(row=2)
    Email.objects.filter(pk=ann.pk).update(
        address="Ann@example.org", fields=["Ann Berg"], code=550, attempts=1, lane=lane, reply=f"<{ANN}>: gone"
    )
    Email.objects.filter(batch=batch, row=3).update(fields=[f"Bo, write to {ANN.upper()} too"])
    Attempt.objects.create(
        email=ann, lane=lane, number=1, outcome=Outcome.FAILED, code=550, reply=f"5.1.1 <{ANN}> gone", relay="default"
    )
    Return.objects.create(
        batch=batch,
        email=ann,
        kind=ReturnKind.BOUNCED,
        return_class=ReturnClass.GONE,
        text=f"550 <{ANN}> is gone",
        domain="example.org",
        address_digest=find_digest(ANN),
        door="imap",
        event_key="about ann",
    )
    RejectedRow.objects.create(
        batch=batch, line=7, kind=RejectionKind.INVALID, raw=["Ann", f"{ANN}, bo@example.org"], reason="Two addresses."
    )
    RejectedRow.objects.create(
        batch=batch, line=8, kind=RejectionKind.INVALID, raw=[f"guardian: {ANN}", "x"], reason=f"No @. {ANN}"
    )
    return batch


@pytest.fixture
def ann_everywhere(sent_to_ann: Batch, upload: Upload, own_inbox: Path, staff: User) -> Batch:
    """The same, and Ann in drafts, accounts, sessions, Redis, the admin's log, a relay pause, a template, the inbox."""
    UnknownReport.objects.create(digest="0" * 64, door="lmtp", recipient="x@example.net", content=f"Who is {ANN}?")
    upload(f"email,name\n{ANN},Ann\nbo@example.org,Bo\n")
    upload(f"email,name\nbo@example.org,knows {ANN}\n")
    User.objects.create_user("annberg", "ANN@example.org", first_name="Ann", last_name="Berg")
    data = {"test_address": ANN, "other": [1, {"x": f"to {ANN}"}]}
    Session.objects.create(
        session_key="s" * 32, session_data=Session.objects.encode(data), expire_date=sent_to_ann.created_at
    )
    LogEntry.objects.create(
        user=staff,
        content_type=ContentType.objects.get_for_model(Email),
        object_id="1",
        object_repr=ANN,
        action_flag=CHANGE,
        change_message=json.dumps([{"changed": {"name": "email", "object": ANN}}]),
    )
    cache.set("of-somebody", {"typed": ANN}, 600)
    cache.set("of-another", {"typed": "bo@example.org"}, 600)
    relay, _ = Relay.objects.get_or_create(name="default")
    RelayPause.objects.create(
        relay=relay, meaning=ReplyMeaning.POLICY, sentence=f"450 <{ANN}> later", until=sent_to_ann.created_at
    )
    EmailTemplate.objects.create(key="with_ann", name="With Ann", subject="Hello", text=f"Questions? Write to {ANN}.")
    queues.client().set("emailbatch:letter-check:record:x", json.dumps({"reason": f"Row of {ANN}"}))
    queues.client().hset("rq:job:lane-1-1-1", "exc_info", f"ValueError: {ANN}")
    queues.client().set("emailbatch:letter-check:record:y", "{}")
    writer = InboxWriter(own_inbox)
    raw = b"From: a@b.example\r\nTo: ann@example.org\r\nSubject: Hi\r\n\r\nDear Ann\r\n"
    hidden = b"To: bo@example.org\r\nContent-Transfer-Encoding: base64\r\n\r\nV3JpdGUgdG8gYW5uQGV4YW1wbGUub3JnIQ==\r\n"
    other = b"To: bo@example.org\r\n\r\nDear Bo\r\n"
    for recipient, content in ((ANN, raw), ("bo@example.org", hidden), ("bo@example.org", other)):
        writer.add([Incoming(received_at=1e9, sender="a@b.example", recipients=[recipient], raw=content)])
    writer.close()
    return sent_to_ann


def dump_database() -> str:
    """Return every row of every table as text, in lower case, with the octets of files and sessions as text too."""
    texts = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            if table == "batches_uploadchunk":
                cursor.execute("SELECT convert_from(data, 'UTF8') FROM batches_uploadchunk")
            elif table == "batches_cache":
                cursor.execute("SELECT cache_key || encode(decode(value, 'base64'), 'escape') FROM batches_cache")
            else:
                cursor.execute(f"SELECT t::text FROM {connection.ops.quote_name(table)} t")  # noqa: S608
            texts += [f"{table}: {row[0]}" for row in cursor.fetchall()]
    texts += [f"session: {session.get_decoded()}" for session in Session.objects.all()]
    return "\n".join(texts).lower()


def dump_redis() -> str:
    """Return every key of Redis with its value."""
    client = queues.client()
    texts = []
    for key in client.scan_iter():
        value = client.hgetall(key) if client.type(key) == b"hash" else None
        texts.append(f"{key!r}: {value or (client.get(key) if client.type(key) == b'string' else '')!r}")
    return "\n".join(texts).lower()


def count_statuses(batch: Batch) -> dict[str, int]:
    return {status: batch.emails.filter(status=status).count() for status in EmailStatus.values}
