"""Recording what came back: once, for the right email, with the counts and what follows for the address."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone

from batches.models import (
    Batch,
    BatchStatus,
    Email,
    JobStatus,
    Relay,
    Return,
    ReturnClass,
    ReturnKind,
    Suppression,
    SuppressionReason,
    WaitingReturn,
)
from batches.people import Spelling, erase_person, purge
from batches.rendering.message import derive_message_key, make_message_id
from batches.return_paths import ReturnPathMaker, derive_key
from batches.returns.events import ReturnEvent
from batches.returns.recording import record_events
from batches.returns.waiting import retry_waiting
from batches.suppressions import find_digest, is_suppressed, read_key
from tests.conftest import MakeBatch, MakeJob

pytestmark = pytest.mark.django_db

BOUNCE_ADDRESS = "bounce@news.example.org"


@pytest.fixture(autouse=True)
def own_return_paths(settings: Any) -> None:
    settings.BOUNCE_ADDRESS = BOUNCE_ADDRESS


@pytest.fixture
def batch(make_batch: MakeBatch) -> Batch:
    made = make_batch(BatchStatus.COMPLETED, sent=3)
    for email in made.emails.all():
        email.address_digest = find_digest(email.address)
        email.save(update_fields=["address_digest"])
    return made


def own_path(email: Email, address: str = "") -> str:
    maker = ReturnPathMaker(BOUNCE_ADDRESS, key=derive_key(read_key()))
    return maker.make(email.pk, address or email.address)


def own_message_id(email: Email, job_id: int) -> str:
    key = derive_message_key(django_settings.SECRET_KEY)
    return make_message_id(key=key, email_id=email.pk, job_id=job_id, domain="example.org")


def event_of(email: Email, **columns: Any) -> ReturnEvent:
    values: dict[str, Any] = {
        "kind": ReturnKind.BOUNCED,
        "return_class": ReturnClass.GONE,
        "door": "lmtp",
        "key": f"key of {email.pk}",
        "return_path": own_path(email),
        "recipient": email.address,
        "status_code": "5.1.1",
        "text": f"550 5.1.1 {email.address}: user unknown",
    }
    return ReturnEvent(**values | columns)


def counts(batch: Batch) -> tuple[int, int]:
    batch.refresh_from_db()
    return batch.returned_count, batch.complained_count


def first(batch: Batch) -> Email:
    found = batch.emails.order_by("row").first()
    assert found is not None
    return found


def test_bounce_counts_and_suppresses_when_the_address_is_gone(batch: Batch) -> None:
    email = first(batch)
    recorded = record_events([event_of(email)])
    assert (recorded.recorded, recorded.suppressed, counts(batch)) == (1, 1, (1, 0))
    row = Return.objects.get()
    assert (row.email_id, row.return_class, row.status_code, row.domain) == (email.pk, "gone", "5.1.1", "example.org")
    assert Suppression.objects.get().reason == SuppressionReason.BOUNCED
    email.refresh_from_db()
    assert email.status == "sent"


def test_event_counts_once_when_it_comes_again_by_another_door(batch: Batch) -> None:
    event = event_of(first(batch))
    record_events([event, event])
    again = record_events([replace(event, door="imap")])
    assert (again.recorded, again.repeated, counts(batch)) == (0, 1, (1, 0))


def test_email_counts_once_when_two_reports_are_about_it(batch: Batch) -> None:
    email = first(batch)
    record_events([event_of(email), event_of(email, key="another")])
    record_events([event_of(email, key="a third")])
    assert (Return.objects.count(), counts(batch)) == (3, (1, 0))


def test_complaint_counts_apart_and_stops_everything(batch: Batch) -> None:
    email = first(batch)
    complaint = event_of(email, kind=ReturnKind.COMPLAINED, return_class=ReturnClass.OTHER, recipient="", key="c")
    record_events([event_of(email, return_class=ReturnClass.PASSING), complaint])
    assert counts(batch) == (1, 1)
    row = Suppression.objects.get()
    assert (row.reason, row.topic_id, row.ends_at) == (SuppressionReason.COMPLAINED, None, None)


def test_automatic_reply_is_kept_and_neither_counts_nor_suppresses(batch: Batch) -> None:
    record_events([event_of(first(batch), kind=ReturnKind.AUTO_REPLY, return_class=ReturnClass.OTHER)])
    assert (Return.objects.get().kind, counts(batch), Suppression.objects.count()) == ("auto_reply", (0, 0), 0)


@pytest.mark.parametrize("return_class", [ReturnClass.BLOCKED, ReturnClass.CONTENT, ReturnClass.PASSING])
def test_nobody_is_suppressed_when_the_bounce_is_about_us(batch: Batch, return_class: ReturnClass) -> None:
    record_events([event_of(first(batch), return_class=return_class)])
    assert (counts(batch), Suppression.objects.count()) == ((1, 0), 0)


@pytest.mark.parametrize(
    "forge",
    [
        lambda path: path.replace(".", ".0", 1)[: path.index("@")] + path[path.index("@") :],
        lambda path: f"bounce+1f.{'0' * 12}@news.example.org",
        lambda path: "bounce+nonsense@news.example.org",
        lambda path: path[: path.index("@") - 1] + ("0" if path[path.index("@") - 1] != "0" else "1")
        + path[path.index("@") :],
    ],
)  # fmt: skip
def test_forged_return_path_counts_never(batch: Batch, make_job: MakeJob, forge: Any) -> None:
    email = first(batch)
    job = make_job(batch, JobStatus.COMPLETED, completed_at=timezone.now())
    event = event_of(email, return_path=forge(own_path(email)), message_id=own_message_id(email, job.pk))
    recorded = record_events([event])
    assert (recorded.forged, recorded.recorded, recorded.waiting) == (1, 0, 0)
    assert not (Return.objects.exists() or WaitingReturn.objects.exists() or Suppression.objects.exists())


def test_return_path_of_one_email_is_forged_when_its_id_is_changed(batch: Batch) -> None:
    one, two, _ = batch.emails.order_by("row")
    path = own_path(one).replace(f"+{one.pk:x}.", f"+{two.pk:x}.")
    assert record_events([event_of(two, return_path=path)]).forged == 1


@pytest.mark.parametrize("change", [str.upper, str.title, lambda path: f"prvs=12ab={path}", lambda path: f"<{path}>"])
def test_return_path_is_read_when_servers_have_changed_it(batch: Batch, change: Any) -> None:
    email = first(batch)
    assert record_events([event_of(email, return_path=change(own_path(email)))]).recorded == 1


def test_bounce_is_matched_by_message_id_when_there_is_no_return_path(batch: Batch, make_job: MakeJob) -> None:
    email = first(batch)
    job = make_job(batch, JobStatus.COMPLETED, completed_at=timezone.now())
    event = event_of(email, return_path="office@example.org", message_id=own_message_id(email, job.pk), recipient="")
    assert record_events([event]).recorded == 1
    assert (Return.objects.get().email_id, is_suppressed(email.address)) == (email.pk, True)


def test_message_id_of_another_job_is_not_believed(batch: Batch, make_job: MakeJob) -> None:
    email = first(batch)
    job = make_job(batch, JobStatus.COMPLETED, completed_at=timezone.now())
    event = event_of(email, return_path="", message_id=own_message_id(email, job.pk + 1))
    assert record_events([event]).recorded == 0


def test_nobody_is_suppressed_when_the_report_names_another(batch: Batch) -> None:
    record_events([event_of(first(batch), recipient="member@list.example.org")])
    assert (counts(batch), Suppression.objects.count()) == ((1, 0), 0)


def test_named_recipient_is_never_suppressed_in_place_of_ours(batch: Batch) -> None:
    record_events([event_of(first(batch), recipient="victim@example.org")])
    assert not is_suppressed("victim@example.org")


def test_late_report_suppresses_when_its_email_was_purged(batch: Batch) -> None:
    email = first(batch)
    address, path = email.address, own_path(email)
    Email.objects.filter(pk=email.pk).update(address="", address_digest=None)
    record_events([event_of(email, return_path=path, recipient=address.upper())])
    assert (counts(batch), is_suppressed(address)) == ((1, 0), True)
    row = Return.objects.get()
    assert (row.text, row.address_digest) == ("", None)


def test_late_report_suppresses_nobody_else_when_its_email_was_purged(batch: Batch) -> None:
    email = first(batch)
    path = own_path(email)
    Email.objects.filter(pk=email.pk).update(address="", address_digest=None)
    recorded = record_events([event_of(email, return_path=path, recipient="victim@example.org")])
    assert (recorded.forged, is_suppressed("victim@example.org")) == (1, False)


def full(email: Email, number: int, happened_at: datetime | None) -> ReturnEvent:
    return event_of(email, return_class=ReturnClass.FULL, key=f"full {number}", happened_at=happened_at)


@pytest.mark.parametrize(
    ("days_ago", "is_suppressed_then"),
    [((0, 1, 2), True), ((0, 0, 0), False), ((0, 1), False), ((0, 1, 40), False), ((20, 10, 0), True)],
)
def test_full_mailbox_is_suppressed_when_it_was_full_on_three_days(
    batch: Batch, days_ago: tuple[int, ...], is_suppressed_then: bool
) -> None:
    email, now = first(batch), timezone.now()
    for number, days in enumerate(days_ago):
        # 40 days ago is before the 30 days, so it counts as the day on which it was received.
        record_events([full(email, number, now - timedelta(days=days))])
    rows = list(Suppression.objects.all())
    assert bool(rows) == is_suppressed_then
    if rows:
        assert rows[0].ends_at is not None
        assert abs(rows[0].ends_at - now - timedelta(days=90)) < timedelta(minutes=5)


def test_full_mailbox_is_counted_over_batches(batch: Batch, make_batch: MakeBatch) -> None:
    now = timezone.now()
    for number in range(3):
        other = make_batch(BatchStatus.COMPLETED, sent=1)
        record_events([full(first(other), number, now - timedelta(days=number))])
    assert Suppression.objects.count() == 1


def test_event_waits_when_nothing_proves_its_email(batch: Batch, settings: Any) -> None:
    settings.BOUNCE_ADDRESS = ""
    email = first(batch)
    event = event_of(email, return_path="", happened_at=datetime(2026, 11, 1, tzinfo=UTC))
    assert record_events([event]).waiting == 1
    assert record_events([event]).repeated == 1
    assert retry_waiting() == 1
    assert (counts(batch), WaitingReturn.objects.count(), is_suppressed(email.address)) == ((1, 0), 0, True)
    assert record_events([event]).repeated == 1


def test_newest_email_is_matched_when_there_are_several(batch: Batch, make_batch: MakeBatch, settings: Any) -> None:
    settings.BOUNCE_ADDRESS = ""
    newest = make_batch(BatchStatus.COMPLETED, sent=1)
    email = first(newest)
    Email.objects.filter(pk=email.pk).update(address_digest=find_digest(email.address))
    record_events([event_of(first(batch), return_path="")])
    retry_waiting()
    assert Return.objects.get().email_id == email.pk


def test_recipient_alone_is_not_believed_when_each_message_has_its_return_path(batch: Batch) -> None:
    record_events([event_of(first(batch), return_path=BOUNCE_ADDRESS)])
    retry_waiting()
    assert (counts(batch), Suppression.objects.count()) == ((0, 0), 0)


def test_recipient_alone_is_believed_when_a_relay_forces_its_return_path(batch: Batch) -> None:
    Relay.objects.update_or_create(name="default", defaults={"keeps_return_path": False})
    record_events([event_of(first(batch), return_path=BOUNCE_ADDRESS)])
    assert (retry_waiting(), counts(batch)) == (1, (1, 0))


def test_recipient_alone_is_believed_when_a_relay_is_known_to_want_its_login(batch: Batch, settings: Any) -> None:
    settings.EMAIL_URL = "smtp+tls://ann:hush@smtp.office365.com:587"
    Relay.objects.update_or_create(name="default", defaults={"keeps_return_path": True})
    record_events([event_of(first(batch), return_path=BOUNCE_ADDRESS)])
    assert (retry_waiting(), counts(batch)) == (1, (1, 0))


def test_early_event_is_matched_when_the_email_is_recorded_as_sent(batch: Batch, settings: Any) -> None:
    settings.BOUNCE_ADDRESS = ""
    email = first(batch)
    Email.objects.filter(pk=email.pk).update(status="sending")
    record_events([event_of(email, return_path="")])
    assert retry_waiting() == 0
    Email.objects.filter(pk=email.pk).update(status="sent")
    WaitingReturn.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))
    assert (retry_waiting(), counts(batch)) == (1, (1, 0))


def test_event_of_another_form_stops_no_other(batch: Batch, settings: Any) -> None:
    settings.BOUNCE_ADDRESS = ""
    record_events([event_of(first(batch), return_path="")])
    WaitingReturn.objects.create(event_key="odd", event={"kind": "of a later release"})
    assert (retry_waiting(), counts(batch)) == (1, (1, 0))


def test_event_is_given_up_and_forgets_the_person_when_ten_minutes_are_over(batch: Batch) -> None:
    record_events([event_of(first(batch), return_path="", recipient="nobody@example.org")])
    WaitingReturn.objects.update(received_at=timezone.now() - timedelta(seconds=601))
    assert retry_waiting() == 0
    row = WaitingReturn.objects.get()
    assert (row.gave_up_at is None, row.next_try_at) == (False, None)
    assert row.event == {"kind": "bounced", "return_class": "gone", "door": "lmtp", "status_code": "5.1.1"}


@pytest.mark.django_db(transaction=True)
def test_counts_are_exact_when_many_doors_record_at_once(batch: Batch) -> None:
    emails = list(batch.emails.order_by("row"))
    gate = threading.Barrier(6)

    def record(number: int) -> None:
        gate.wait()
        try:
            for email in emails if number % 2 else reversed(emails):
                record_events([event_of(email, key=f"{email.pk} {number % 3}")])
        finally:
            connection.close()

    threads = [threading.Thread(target=record, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (counts(batch), Return.objects.count(), Suppression.objects.count()) == ((3, 0), 9, 3)


def test_nothing_about_the_person_is_left_when_the_batch_is_purged(batch: Batch) -> None:
    email = first(batch)
    record_events([event_of(email), event_of(email, key="w", return_path="", recipient="nobody@example.org")])
    Batch.objects.filter(pk=batch.pk).update(completed_at=timezone.now() - timedelta(days=3))
    WaitingReturn.objects.update(received_at=timezone.now() - timedelta(days=3))
    purge(1)
    row = Return.objects.get()
    assert (row.text, row.address_digest, row.return_class) == ("", None, "gone")
    assert (counts(batch), WaitingReturn.objects.count()) == ((1, 0), 0)


def test_nothing_about_the_person_is_left_when_the_person_is_erased(batch: Batch) -> None:
    email = first(batch)
    address = email.address
    record_events([event_of(email), event_of(email, key="w", return_path="", recipient=address, text=address)])
    erase_person(Spelling.read(address))
    row = Return.objects.get()
    assert (row.text, row.domain, row.address_digest) == ("", "", None)
    assert address not in str(list(WaitingReturn.objects.values()))


def test_waiting_event_is_not_believed_when_its_return_path_turns_out_to_be_forged(batch: Batch, settings: Any) -> None:
    settings.BOUNCE_ADDRESS = ""
    record_events([event_of(first(batch), return_path="bounce+2a.000000000000@news.example.org")])
    settings.BOUNCE_ADDRESS = BOUNCE_ADDRESS
    Relay.objects.update_or_create(name="default", defaults={"keeps_return_path": False})
    assert (retry_waiting(), counts(batch)) == (0, (0, 0))
