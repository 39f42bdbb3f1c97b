"""The check of every letter of a draft: its turns, its record in Redis, and what stops it."""

from __future__ import annotations

import io
import signal
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from batches import intake
from batches.delivery import stop
from batches.jobs import check_letters, creation, letter_checks, queues
from batches.jobs.check_letters import check_every_letter
from batches.jobs.letter_checks import LetterCheck, begin_check, read_check
from batches.models import Batch, EmailTemplate, LetterCheckState
from batches.rendering.template import MessageParts

PARTS = MessageParts(
    subject="Hello", html="", text="{% if kind == 'deep' %}{{ nothing.at.all }}{% endif %}Dear {{ name }}"
)
"""Only a row with the kind "deep" has a fault."""

Draft = Callable[..., Batch]


@pytest.fixture
def draft(sender: User) -> Draft:
    """Import ``count`` rows as a draft; each of ``deep`` is a row with a fault."""

    def make(count: int, deep: tuple[int, ...] = ()) -> Batch:
        lines = [f"n{row},p{row}@example.org,{'deep' if row in deep else ''}" for row in range(2, count + 2)]
        data = "\n".join(["name,email,kind", *lines]).encode()
        return intake.import_csv(io.BytesIO(data), filename="list.csv", user=sender).batch

    return make


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first page is the rows 1 to 10, and the first row of a file with a header is 2."""
    monkeypatch.setattr(check_letters, "PAGE_ROWS", 10)


def begin(batch: Batch, parts: MessageParts = PARTS) -> LetterCheck:
    check = begin_check(batch, parts)
    assert check is not None
    return check


def read(batch: Batch, parts: MessageParts = PARTS) -> LetterCheck:
    check = read_check(batch, parts)
    assert check is not None
    return check


def empty_queue() -> None:
    queues.client().delete(queues.open_queue(queues.CHECK_QUEUE).key)


pytestmark = pytest.mark.django_db


def test_every_letter_is_checked_and_faults_are_grouped(draft: Draft) -> None:
    batch = draft(45, deep=(3, 14, 46))
    waiting = begin(batch)
    assert (waiting.state, waiting.total, waiting.checked) == (LetterCheckState.WAITING, 45, 0)
    check_every_letter(run=waiting.run)
    done = read(batch)
    assert (done.state, done.checked, done.faulty) == (LetterCheckState.DONE, 45, 3)
    assert [(fault.count, fault.rows) for fault in done.faults] == [(3, (3, 14, 46))]
    assert done.faults[0].reason


def test_page_of_letters_costs_two_queries(draft: Draft, django_assert_max_num_queries: Any) -> None:
    run = begin(draft(45)).run
    with django_assert_max_num_queries(2 + 5 * 2):  # the batch and its last row; the rows and the batch for each page
        check_every_letter(run=run)


def test_rows_after_a_gap_are_checked(draft: Draft) -> None:
    batch = draft(3)
    batch.emails.filter(row=4).update(row=1000, fields=["x", "deep"])
    run = begin(batch).run
    check_every_letter(run=run)
    assert (read(batch).checked, read(batch).faults[0].rows) == (3, (1000,))


def test_one_check_begins_when_two_clicks_ask_for_it(draft: Draft) -> None:
    batch = draft(3)
    assert begin(batch).run == begin(batch).run
    assert len(queues.open_queue(queues.CHECK_QUEUE).get_job_ids()) == 1
    check_every_letter(run=begin(batch).run)
    assert begin(batch).state == LetterCheckState.DONE
    again = begin_check(batch, PARTS, again=True)
    assert again is not None
    assert again.state == LetterCheckState.WAITING
    assert begin_check(batch, PARTS, again=True) == again


def test_check_belongs_to_the_message_and_to_the_list_as_it_is(draft: Draft) -> None:
    batch = draft(3)
    check_every_letter(run=begin(batch).run)
    assert read_check(batch, PARTS.with_subject("Another")) is None
    renamed = intake.rename_merge_fields(batch, {"name": "first_name"})
    assert read_check(renamed, PARTS) is None
    assert read_check(batch, PARTS) is not None


def test_turn_ends_when_another_entry_waits_and_the_next_one_goes_on(
    draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = draft(25, deep=(4, 20))
    run = begin(batch).run
    empty_queue()
    queues.enqueue([queues.WorkItem(job_id=1, lane_id=1, token=1, priority=queues.CHECK_QUEUE)])
    monkeypatch.setattr(check_letters, "TURN_SECONDS", 0.0)
    assert check_every_letter(run=run) == "another's turn"
    first = read(batch)
    assert (first.state, first.checked, first.turn, first.faulty) == (LetterCheckState.WAITING, 9, 1, 1)
    assert queues.is_check_queued(run, turn=1)
    empty_queue()
    check_every_letter(run=run)
    assert (read(batch).checked, read(batch).faulty) == (25, 2)


def test_turn_does_not_end_when_nobody_waits(draft: Draft, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = draft(25)
    run = begin(batch).run
    empty_queue()
    monkeypatch.setattr(check_letters, "TURN_SECONDS", 0.0)
    check_every_letter(run=run)
    assert read(batch).state == LetterCheckState.DONE


def test_turn_ends_when_the_worker_is_asked_to_stop(draft: Draft) -> None:
    batch = draft(25)
    run = begin(batch).run
    former = signal.getsignal(stop.DRAIN_SIGNAL)
    stop.expect()
    try:
        signal.raise_signal(stop.DRAIN_SIGNAL)
        assert check_every_letter(run=run) == "another's turn"
    finally:
        stop.expect()
        signal.signal(stop.DRAIN_SIGNAL, former)
    assert (read(batch).checked, read(batch).state) == (9, LetterCheckState.WAITING)
    assert queues.is_check_queued(run, turn=1)


def test_check_ends_early_when_it_has_worked_too_long(draft: Draft, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_letters, "WORK_MAX_SECONDS", 0.0)
    batch = draft(25)
    check_every_letter(run=begin(batch).run)
    assert (read(batch).state, read(batch).checked) == (LetterCheckState.DONE, 9)


def change(batch: Batch, template: EmailTemplate, user: User) -> None:
    intake.rename_merge_fields(batch, {"name": "first_name"})


def send(batch: Batch, template: EmailTemplate, user: User) -> None:
    creation.create_job(batch, template=template, user=user)


def discard(batch: Batch, template: EmailTemplate, user: User) -> None:
    intake.discard_draft(batch)


@pytest.mark.parametrize("act", [change, send, discard])
def test_check_is_given_up_when_the_draft_is_no_longer_the_same(
    act: Callable[[Batch, EmailTemplate, User], None], draft: Draft, welcome: EmailTemplate, sender: User
) -> None:
    batch = draft(3)
    run, kept = begin(batch).run, Batch.objects.get(pk=batch.pk)
    act(batch, welcome, sender)
    assert check_every_letter(run=run) == "the draft was changed, sent or discarded"
    assert read_check(kept, PARTS) is None
    assert queues.client().keys("emailbatch:letter-check:*") == []


def test_nothing_is_checked_when_the_batch_is_no_draft(draft: Draft, welcome: EmailTemplate, sender: User) -> None:
    batch = draft(3)
    creation.create_job(batch, template=welcome, user=sender)
    assert begin_check(batch, PARTS) is None


def test_check_counts_as_killed_when_it_was_silent_for_long(draft: Draft, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = draft(3)
    run = begin(batch).run
    monkeypatch.setattr(letter_checks, "SILENT_SECONDS", -1.0)
    assert read(batch).state == LetterCheckState.WAITING  # its entry waits for a worker
    empty_queue()
    assert read(batch).state == LetterCheckState.KILLED
    assert check_every_letter(run=run) == "the check is no longer wanted"
    assert begin(batch).state == LetterCheckState.KILLED
    again = begin_check(batch, PARTS, again=True)
    assert again is not None
    assert again.run != run
