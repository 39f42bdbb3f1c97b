"""The judge of ``make chaos`` must see every kind of broken promise: a harness that cannot fail proves nothing."""

from __future__ import annotations

import dataclasses

import pytest

from batches.models import EmailStatus
from tests.chaos.__main__ import choose
from tests.chaos.faults import FAULTS, KILLS
from tests.chaos.judgement import Bounds, Comparison, Counts, Row, compare, count_sent_by, judge
from tests.chaos.trial import Result
from tests.smtpserver import Accepted

ANN, BOB = "ann@example.org", "bob@example.org"


WORDS = {ANN: "C1", BOB: "C2"}


def accepted(recipient: str, *, message_id: str = "", word: str = "", at: float = 0.0, port: int = 0) -> Accepted:
    return Accepted(
        recipient=recipient,
        sender="",
        message_id=message_id or f"<{recipient}>",
        sha256="",
        size=0,
        at=at,
        connection=1,
        port=port,
        raw=f"your number is {word or WORDS.get(recipient, '')}".encode(),
    )


def compare_two(
    *statuses: str, record: tuple[Accepted, ...] = (accepted(ANN), accepted(BOB)), counts: Counts | None = None
) -> Comparison:
    rows = [Row(address=address, status=status) for address, status in zip((ANN, BOB), statuses, strict=False)]
    tally = {name: sum(row.status == name for row in rows) for name in ("sent", "failed", "unknown", "cancelled")}
    shown = counts or Counts(batch=tally, job_sent=tally["sent"], job_failed=tally["failed"])
    return compare(expected=WORDS, rows=rows, accepted=record, counts=shown)


def test_nothing_is_broken_when_every_recipient_got_one_copy() -> None:
    found = compare_two(EmailStatus.SENT, EmailStatus.SENT)
    assert judge(found, Bounds(), recover_seconds=0.1) == []


@pytest.mark.parametrize("status", [EmailStatus.PENDING, EmailStatus.SENDING])
def test_recipient_is_lost_when_its_email_has_not_ended(status: str) -> None:
    found = compare_two(EmailStatus.SENT, status)
    assert found.lost == 1
    assert judge(found, Bounds(), recover_seconds=None) == ["lost: 1, allowed 0"]


@pytest.mark.parametrize(("unwilling", "lost"), [((), 1), ((ANN,), 1), ((BOB,), 0)])
def test_suppressed_recipient_is_lost_unless_it_objected(unwilling: tuple[str, ...], lost: int) -> None:
    rows = [Row(address=ANN, status=EmailStatus.SENT), Row(address=BOB, status=EmailStatus.SUPPRESSED)]
    shown = Counts(batch={"sent": 1}, job_sent=1, job_failed=0)
    found = compare(expected=WORDS, rows=rows, accepted=(accepted(ANN),), counts=shown, unwilling=unwilling)
    assert found.lost == lost


def test_recipient_is_lost_when_it_has_no_row() -> None:
    assert compare_two(EmailStatus.SENT).lost == 1


def test_loss_and_false_record_are_seen_when_sent_is_recorded_without_acceptance() -> None:
    found = compare_two(EmailStatus.SENT, EmailStatus.SENT, record=(accepted(ANN),))
    assert (found.lost, found.sent_without_acceptance) == (1, 1)


def test_recipient_is_not_lost_when_its_failure_is_recorded() -> None:
    found = compare_two(EmailStatus.SENT, EmailStatus.FAILED, record=(accepted(ANN),))
    assert (found.lost, found.failed) == (0, 1)
    assert judge(found, Bounds(), recover_seconds=None) == ["failed: 1, allowed 0"]
    assert judge(found, Bounds(failed=1, failed_exactly=True), recover_seconds=None) == []
    assert judge(found, Bounds(failed=2, failed_exactly=True), recover_seconds=None) != []


def test_duplicates_are_counted_when_a_recipient_got_three_copies() -> None:
    found = compare_two(EmailStatus.SENT, EmailStatus.SENT, record=(accepted(ANN),) * 3 + (accepted(BOB),))
    assert (found.duplicated, found.duplicated_recipients) == (2, 1)
    assert judge(found, Bounds(duplicates=2), recover_seconds=None) == []
    assert judge(found, Bounds(duplicates=1), recover_seconds=None) == ["duplicated: 2, allowed 1"]


def test_failure_is_false_when_the_relay_had_accepted_the_message() -> None:
    found = compare_two(EmailStatus.SENT, EmailStatus.FAILED)
    assert "failed though accepted: 1, allowed 0" in judge(found, Bounds(failed=1), recover_seconds=None)


def test_message_id_is_wrong_when_copies_differ_or_two_share_it() -> None:
    changed = compare_two(EmailStatus.SENT, EmailStatus.SENT, record=(accepted(ANN), accepted(ANN, message_id="<x>")))
    assert changed.message_ids_changed == 1
    shared = tuple(accepted(each, message_id="<same>") for each in (ANN, BOB))
    assert compare_two(EmailStatus.SENT, EmailStatus.SENT, record=shared).message_ids_shared == 1


def test_counts_are_wrong_when_they_differ_from_the_table() -> None:
    counts = Counts(batch={"sent": 1}, job_sent=2, job_failed=1)
    found = compare_two(EmailStatus.SENT, EmailStatus.SENT, counts=counts)
    assert found.counts_differ == "batch.sent 1 != 2, job.failed 1 != 0"
    assert judge(found, Bounds(), recover_seconds=None) == [f"counts: {found.counts_differ}"]


def test_stranger_is_seen_when_the_relay_accepted_a_message_for_nobody_in_the_file() -> None:
    record = (accepted(ANN), accepted(BOB), accepted("eve@example.org"))
    assert compare_two(EmailStatus.SENT, EmailStatus.SENT, record=record).strangers == 1


def test_message_is_misdirected_when_it_has_the_fields_of_another_recipient() -> None:
    record = (accepted(ANN, word=WORDS[BOB]), accepted(BOB))
    found = compare_two(EmailStatus.SENT, EmailStatus.SENT, record=record)
    assert judge(found, Bounds(), recover_seconds=None) == ["misdirected: 1, allowed 0"]


def test_only_messages_of_the_frozen_worker_after_its_thaw_are_counted() -> None:
    record = [accepted(ANN, at=9.0, port=7), accepted(ANN, at=11.0, port=8), accepted(BOB, at=11.0, port=7)]
    assert count_sent_by({7}, record, after=10.0) == 1


def test_recovery_is_too_slow_when_it_takes_longer_than_its_bound() -> None:
    found = compare_two(EmailStatus.SENT, EmailStatus.SENT)
    assert judge(found, Bounds(recover_seconds=30), recover_seconds=30.1) == ["recovered after 30.1 s, allowed 30 s"]


def test_kill_faults_are_repeated_when_more_kills_are_wanted() -> None:
    trials = list(choose("", kills=200))
    assert {name for name, _ in trials} == set(FAULTS)
    assert sum(name in KILLS for name, _ in trials) == 200
    assert len(set(trials)) == len(trials)


@pytest.mark.parametrize("missed", ["", "there was no work-horse to kill"])
def test_trial_is_repeated_when_its_fault_had_no_effect(missed: str) -> None:
    found = compare_two(EmailStatus.SENT, EmailStatus.SENT)
    result = Result(
        fault="kill-horse",
        title="",
        seed="",
        found=found,
        recover_seconds=0.5,
        end_seconds=1,
        broken=[],
        missed=missed,
    )
    assert result.has_missed(FAULTS["kill-horse"]) == bool(missed)
    assert dataclasses.replace(result, recover_seconds=None).has_missed(FAULTS["kill-horse"])
    assert not dataclasses.replace(result, broken=["lost: 1, allowed 0"]).has_missed(FAULTS["kill-horse"])


def test_every_number_of_the_comparison_has_a_limit() -> None:
    worst = {field.name: 10**6 for field in dataclasses.fields(Comparison)} | {"counts_differ": "all"}
    broken = judge(Comparison(**worst), Bounds(), recover_seconds=99)  # type: ignore[arg-type]
    assert len(broken) == len(worst) - len({"recipients", "duplicated_recipients"}) + len({"recovery"})
