"""A purge empties what is old, keeps the counts, and may be interrupted at any time."""

from __future__ import annotations

import io
import sys
from contextlib import nullcontext
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.utils import timezone

from batches.exports.export import results_csv
from batches.intake import NotADraft, ReadingOptions, append_csv, reread_upload
from batches.jobs import creation, queues, retention
from batches.jobs.lifecycle import JobRefused
from batches.jobs.rescheduling import return_to_draft
from batches.jobs.sweep import sweep
from batches.models import (
    AuditAction,
    AuditEntry,
    Batch,
    BatchStatus,
    Email,
    EmailStatus,
    EmailTemplate,
    JobKind,
    JobStatus,
    Retention,
    Return,
    UnknownReport,
)
from batches.people import purge, purging
from batches.people.purge_job import purge_in_turns
from emailbatch.localstack.inbox_store import read_page
from tests.conftest import MakeBatch, MakeJob
from tests.integration.conftest import Upload
from tests.integration.people.conftest import ANN, count_statuses, dump_database

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def age(batch: Batch, days: float) -> Batch:
    at = NOW - timedelta(days=days)
    Batch.objects.filter(pk=batch.pk).update(
        created_at=at, completed_at=at if batch.status != BatchStatus.DRAFT else None
    )
    batch.refresh_from_db()
    return batch


def test_old_batch_loses_its_people_and_keeps_its_counts(sent_to_ann: Batch) -> None:
    age(sent_to_ann, 31)
    statuses = count_statuses(sent_to_ann)
    purged = purge(30, now=NOW)
    assert purged.counts == {"emails": 3, "rejected rows": 3, "batches": 1}
    text = dump_database()
    assert "example.org" not in "\n".join(
        line for line in text.splitlines() if line.startswith(("batches_email:", "batches_attempt", "batches_rej"))
    )
    assert ANN not in text
    assert count_statuses(sent_to_ann) == statuses
    sent_to_ann.refresh_from_db()
    assert (sent_to_ann.is_emptied, sent_to_ann.purged_at is not None, sent_to_ann.total_count) == (True, True, 3)
    assert list(sent_to_ann.emails.order_by("row").values_list("fields", "code")) == [
        ([""], 550),
        ([""], None),
        ([""], None),
    ]
    assert purge(30, now=NOW).counts == {}


def test_younger_and_live_batches_stay(make_batch: MakeBatch, make_job: MakeJob) -> None:
    young = age(make_batch(BatchStatus.COMPLETED, sent=2), 29)
    live = age(make_batch(BatchStatus.PROCESSING, pending=2), 31)
    make_job(live, JobStatus.PROCESSING)
    replayed = age(make_batch(BatchStatus.COMPLETED, failed=1), 31)
    make_job(replayed, JobStatus.QUEUED, kind=JobKind.FAILED)
    scheduled = age(make_batch(BatchStatus.SCHEDULED, pending=1), 400)
    Batch.objects.filter(pk__in=[live.pk, scheduled.pk]).update(completed_at=None)
    assert purge(30, now=NOW).counts == {}
    assert not Email.objects.filter(address="").exists()
    assert Batch.objects.filter(pk=young.pk, purged_at=None).exists()


def test_old_draft_is_deleted_with_its_file(upload: Upload) -> None:
    old, young = age(upload(f"email\n{ANN}\n"), 31), upload("email\nbo@example.org\n")
    assert purge(30, now=NOW).counts == {"drafts": 1}
    assert list(Batch.objects.all()) == [young]
    assert not Email.objects.filter(batch=old.pk).exists()


def test_draft_stays_when_it_was_scheduled_until_now(upload: Upload, welcome: EmailTemplate) -> None:
    """Somebody scheduled it for months ahead, and has just taken it back to correct it."""
    draft = upload("email,name\nann@example.org,Ann\n")
    creation.create_job(draft, template=welcome, user=None, scheduled_at=NOW + timedelta(days=1))
    return_to_draft(draft)
    age(draft, 31)
    assert purge(30, now=NOW).counts == {}
    assert purge(30, now=NOW + timedelta(days=31)).counts == {"drafts": 1}


def test_draft_that_is_being_purged_cannot_be_sent(upload: Upload, welcome: EmailTemplate) -> None:
    draft = age(upload("email,name\n" + "".join(f"p{n}@example.org,x\n" for n in range(30))), 31)

    def interrupt(worked_seconds: float) -> None:
        raise purging.Interrupted

    with pytest.raises(purging.Interrupted):
        purge(30, rest=interrupt, now=NOW)
    with pytest.raises(JobRefused, match="no recipients"):
        creation.create_job(draft, template=welcome, user=None)
    assert purge(30, now=NOW).counts == {"drafts": 1}


def test_draft_that_is_being_purged_gets_no_new_rows(upload: Upload) -> None:
    draft = age(upload("email,name\nann@example.org,Ann\n"), 31)

    def interrupt(worked_seconds: float) -> None:
        raise purging.Interrupted

    with pytest.raises(purging.Interrupted):
        purge(30, rest=interrupt, now=NOW)
    with pytest.raises(NotADraft, match="Upload the list again"):
        append_csv(draft, io.BytesIO(b"email,name\nbo@example.org,Bo\n"))
    with pytest.raises(NotADraft):
        reread_upload(draft, ReadingOptions())
    assert purge(30, now=NOW).counts == {"drafts": 1}


def test_interrupted_purge_is_finished_by_the_next(make_batch: MakeBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "CHUNK_ROWS", 3)
    batch = age(make_batch(BatchStatus.COMPLETED, sent=10, rejected=4), 31)
    steps = 0

    def interrupt(worked_seconds: float) -> None:
        nonlocal steps
        steps += 1
        if steps == 2:
            raise purging.Interrupted

    with pytest.raises(purging.Interrupted):
        purge(30, rest=interrupt, now=NOW)
    assert batch.emails.filter(address="").count() == 6
    batch.refresh_from_db()
    assert (batch.purged_at is not None, batch.is_emptied) == (True, False)
    with pytest.raises(JobRefused, match="were removed on"):
        creation.replay_batch(batch, which=JobKind.ALL, user=None)
    assert purge(30, now=NOW).counts == {"emails": 4, "rejected rows": 4, "batches": 1}


def test_replay_of_a_purged_batch_is_refused_with_the_day(sent_to_ann: Batch) -> None:
    age(sent_to_ann, 31)
    purge(30, now=NOW)
    with pytest.raises(JobRefused, match=r"removed on .+\. Upload|were removed on"):
        creation.replay_batch(sent_to_ann, which=JobKind.FAILED, user=None)
    assert not sent_to_ann.jobs.filter(completed_at=None).exists()


def test_results_of_a_purged_batch_still_say_what_became_of_each(sent_to_ann: Batch) -> None:
    age(sent_to_ann, 31)
    purge(30, now=NOW)
    lines = b"".join(results_csv(sent_to_ann)).decode("utf-8-sig").splitlines()
    assert [line.split(",")[:4] for line in lines[1:]] == [
        ["", "", "failed", "550"],
        ["", "", "sent", ""],
        ["", "", "sent", ""],
    ]


def test_ended_sessions_and_old_messages_go(ann_everywhere: Batch, own_inbox: Path) -> None:
    Session.objects.create(session_key="t" * 32, session_data="", expire_date=NOW + timedelta(days=1))
    Session.objects.filter(session_key__startswith="s").update(expire_date=NOW - timedelta(minutes=1))
    purge(30, now=NOW)
    assert [session.session_key[0] for session in Session.objects.all()] == ["t"]
    assert read_page(own_inbox).messages == []


def test_entry_of_the_audit_has_counts_alone(sent_to_ann: Batch) -> None:
    age(sent_to_ann, 31)
    purge(30, now=NOW)
    entry = AuditEntry.objects.get(action=AuditAction.PURGE)
    assert entry.details == {"days": 30, "removed": {"emails": 3, "rejected rows": 3, "batches": 1}}
    assert entry.via == "program"


def test_purge_rests_only_while_a_lane_sends(
    make_batch: MakeBatch, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("batches.people.purging.time.sleep", slept.append)
    purging.rest_while_sending(0.1)
    job = make_job(make_batch(BatchStatus.PROCESSING, pending=1), JobStatus.PROCESSING)
    lane = job.lanes.create(number=0)
    purging.rest_while_sending(0.1)
    assert slept == []
    lane.lease_until = timezone.now()
    lane.save()
    purging.rest_while_sending(0.1)
    assert slept == [pytest.approx(0.1 * purging.REST_FACTOR)]


# --- once a day ------------------------------------------------------------------------------------------


def waiting_purges() -> list[str]:
    return [item for item in queues.waiting_item_ids() if item.startswith("purge")]


def test_sweep_enqueues_the_purge_once_a_day(settings: LazySettings) -> None:
    sweep()
    assert waiting_purges() == []
    settings.RETENTION_DAYS = 30
    sweep()
    sweep()
    assert waiting_purges() == ["purge-0"]
    queues.client().flushall()
    sweep()
    assert waiting_purges() == []
    Retention.objects.update(began_at=timezone.now() - retention.PERIOD - timedelta(seconds=1))
    sweep()
    assert waiting_purges() == ["purge-0"]


def test_purge_of_the_worker_notes_its_end(sent_to_ann: Batch, settings: LazySettings) -> None:
    settings.RETENTION_DAYS = 30
    age(sent_to_ann, 31)
    Retention.objects.create(began_at=timezone.now())
    assert "emails 3" in purge_in_turns(turn=0)
    assert Retention.objects.get().ended_at is not None
    assert sent_to_ann.emails.filter(status=EmailStatus.SENT, address="").count() == 2


def test_purge_of_the_worker_deletes_old_entries_of_the_audit(settings: LazySettings) -> None:
    settings.RETENTION_DAYS = settings.AUDIT_RETENTION_DAYS = 365
    for days in (400, 20):
        AuditEntry.objects.create(action=AuditAction.SIGN_IN, via="page", at=NOW - timedelta(days=days))
    purge_in_turns(turn=0)
    assert AuditEntry.objects.filter(action=AuditAction.SIGN_IN).count() == 1


def test_purge_lets_a_waiting_lane_go_first(
    make_batch: MakeBatch, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RETENTION_DAYS = 30
    age(make_batch(BatchStatus.COMPLETED, sent=3), 31)
    monkeypatch.setattr("batches.people.purge_job.TURN_SECONDS", 0)
    queues.enqueue([queues.WorkItem(job_id=1, lane_id=1, token=1, priority="high")])
    assert purge_in_turns(turn=0) == "another's turn"
    assert waiting_purges() == ["purge-1"]


def test_worker_runs_the_purge_and_nothing_that_resembles_it() -> None:
    queues.enqueue_purge(turn=2)
    [job] = queues.open_queue("default").jobs
    assert queues.is_runnable(job)
    job.kwargs = {"turn": 2, "days": 0}
    assert not queues.is_runnable(job)


# --- the command -----------------------------------------------------------------------------------------


def test_command_says_what_it_removed(sent_to_ann: Batch) -> None:
    age(sent_to_ann, 3)
    out = io.StringIO()
    call_command("purge", "--older-than", "2", stdout=out)
    assert "emails 3" in out.getvalue()
    assert AuditEntry.objects.get(action=AuditAction.PURGE).via == "command purge"
    call_command("purge", "--older-than", "2", stdout=out)
    assert "Nothing was old enough" in out.getvalue()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "RETENTION_DAYS is not set"),
        (["--older-than", "-1"], "negative"),
        (["--older-than", "0"], "every draft. Add --yes"),
    ],
)
def test_command_refuses_with_a_sentence(arguments: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command("purge", *arguments)


class Terminal(io.StringIO):
    """A terminal at which somebody answers."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "is_gone"), [("yes\n", True), ("\n", False), ("", False)])
def test_command_asks_before_everything_goes(
    monkeypatch: pytest.MonkeyPatch, sent_to_ann: Batch, answer: str, is_gone: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    out = io.StringIO()
    with nullcontext() if is_gone else pytest.raises(CommandError, match="Nothing was removed"):
        call_command("purge", "--older-than", "0", stdout=out)
    assert "Write yes to go on" in out.getvalue()
    assert sent_to_ann.emails.exclude(address="").exists() != is_gone


def test_command_does_not_ask_when_it_is_told_so(sent_to_ann: Batch) -> None:
    call_command("purge", "--older-than", "0", "--yes", stdout=io.StringIO())
    assert not sent_to_ann.emails.exclude(address="").exists()


@pytest.mark.parametrize("days", [999_999_999, 10**12])
def test_nothing_is_removed_when_the_days_are_more_than_time_has(
    days: int, sent_to_ann: Batch, settings: LazySettings
) -> None:
    settings.RETENTION_DAYS = settings.AUDIT_RETENTION_DAYS = days
    out = io.StringIO()
    call_command("purge", stdout=out)
    assert "Nothing was old enough" in out.getvalue()


def test_command_uses_the_setting(sent_to_ann: Batch, settings: LazySettings) -> None:
    settings.RETENTION_DAYS = 2
    age(sent_to_ann, 3)
    out = io.StringIO()
    call_command("purge", stdout=out)
    assert "batches 1" in out.getvalue()
    assert isinstance(sent_to_ann.created_at, datetime)


def test_words_of_a_report_go_and_its_class_stays(sent_to_ann: Batch) -> None:
    age(sent_to_ann, 31)
    purge(30, now=NOW)
    report = Return.objects.get()
    assert (report.text, report.address_digest) == ("", None)
    assert (report.return_class, report.domain) == ("gone", "example.org")


def test_message_that_nobody_understood_is_deleted_when_it_is_old() -> None:
    UnknownReport.objects.create(digest="0" * 64, door="lmtp", received_at=NOW - timedelta(days=29))
    purge(30, now=NOW)
    assert UnknownReport.objects.exists()
    UnknownReport.objects.update(received_at=NOW - timedelta(days=31))
    purge(30, now=NOW)
    assert not UnknownReport.objects.exists()
