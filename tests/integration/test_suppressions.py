"""The suppression list: what is on it, and whom a job that is opened leaves out."""

from __future__ import annotations

import io
import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.utils import timezone

from batches.intake import import_group, import_list
from batches.intake.editing import append_csv
from batches.jobs import creation
from batches.jobs.lifecycle import JobRefused
from batches.models import (
    Batch,
    BatchStatus,
    Email,
    EmailStatus,
    EmailTemplate,
    SharedAddresses,
    Suppression,
    SuppressionList,
    SuppressionReason,
    Topic,
    TopicKind,
)
from batches.suppressions import (
    REPLIES,
    digest_address,
    find_digest,
    is_suppressed,
    lift_all,
    lift_digest,
    list_of,
    suppress,
    suppress_digests,
)
from tests.integration.conftest import Upload

pytestmark = pytest.mark.django_db


def suppressed_rows(batch: Batch) -> list[int]:
    return list(batch.emails.filter(status=EmailStatus.SUPPRESSED).order_by("row").values_list("row", flat=True))


def test_address_is_known_in_every_spelling_when_it_was_suppressed() -> None:
    assert suppress("Zoe@Bücher.example", reason=SuppressionReason.MANUAL)
    assert not suppress("zoe@xn--bcher-kva.example", reason=SuppressionReason.MANUAL)
    assert is_suppressed("ZOE@BÜCHER.EXAMPLE")
    assert not is_suppressed("zoe+x@bücher.example")
    assert Suppression.objects.get().reason == SuppressionReason.MANUAL


def test_digests_stay_when_the_secret_key_changes(settings: object) -> None:
    before = digest_address("ann@example.org")
    settings.SECRET_KEY = "another"  # type: ignore[attr-defined]
    assert digest_address("ANN@example.org") == before
    assert "ann" not in before


def test_each_suppression_makes_a_new_version() -> None:
    for number in range(3):
        suppress(f"person{number}@example.org", reason=SuppressionReason.MANUAL)
    assert SuppressionList.objects.get().version == 3
    assert sorted(Suppression.objects.values_list("version", flat=True)) == [1, 2, 3]


def unknown_digests(batch: Batch) -> list[str]:
    """Return the addresses of a batch whose digest is not the one that the list would store."""
    emails = batch.emails.values_list("address", "address_digest")
    return [address for address, digest in emails if bytes(digest or b"") != find_digest(address)]


@pytest.mark.parametrize(
    "text",
    [
        "email,name\nann@example.org,Ann\nbo@example.org,Bo\ncy@example.org,Cy\n",
        "email,name\n Ann@Example.ORG ,Ann\nbo@example.org,Bo\ncy@example.org,Cy\n",
        'email,name\n"Ann Berg <ann@example.org>",Ann\nbo@example.org,Bo\ncy@example.org,Cy\n',
    ],
)
def test_job_suppresses_an_address_of_the_list(upload: Upload, welcome: EmailTemplate, text: str) -> None:
    suppress("ann@example.org", reason=SuppressionReason.MANUAL)
    batch = upload(text)
    assert not unknown_digests(batch)
    job = creation.create_job(batch, template=welcome, user=None)
    batch.refresh_from_db()
    assert suppressed_rows(batch) == [2]
    assert (batch.total_count, batch.suppressed_count, job.total_count) == (3, 1, 2)
    email = batch.emails.get(row=2)
    assert (email.reply, email.completed_at is not None) == (REPLIES[SuppressionReason.MANUAL], True)
    assert job.suppression_version == 1


def test_job_of_many_rows_finds_the_few_that_are_suppressed(upload: Upload, welcome: EmailTemplate) -> None:
    for number in (3, 700, 2999):
        suppress(f"person{number}@example.org", reason=SuppressionReason.MANUAL)
    rows = "".join(f"person{number}@example.org,x\n" for number in range(3000))
    batch = upload(f"email,name\n{rows}PERSON3@example.org,again\n")
    assert not unknown_digests(batch)
    creation.create_job(batch, template=welcome, user=None)
    batch.refresh_from_db()
    assert suppressed_rows(batch) == [5, 702, 3001]
    assert (batch.suppressed_count, batch.duplicate_count) == (3, 1)


def test_lanes_compare_every_address_when_an_earlier_version_stored_no_digest(
    upload: Upload, welcome: EmailTemplate
) -> None:
    suppress("ann@example.org", reason=SuppressionReason.MANUAL)
    batch = upload("email,name\nann@example.org,Ann\nbo@example.org,Bo\n")
    batch.emails.update(address_digest=None)
    job = creation.create_job(batch, template=welcome, user=None)
    assert (job.suppression_version, job.total_count) == (0, 2)


@pytest.fixture
def news(welcome: EmailTemplate) -> Topic:
    """The topic of the template."""
    welcome.topic = Topic.objects.create(key="letter", name="Letter", kind=TopicKind.NEWS)
    welcome.save()
    return welcome.topic


def send_to_ann_and_bo(upload: Upload, template: EmailTemplate) -> list[str]:
    """Open a job for two recipients and return the reply of each that was suppressed."""
    batch = upload("email,name\nann@example.org,Ann\nbo@example.org,Bo\n")
    creation.create_job(batch, template=template, user=None)
    return list(batch.emails.filter(status=EmailStatus.SUPPRESSED).values_list("reply", flat=True))


@pytest.mark.parametrize("reason", list(SuppressionReason))
@pytest.mark.parametrize("scope", ["all", "this topic", "another topic"])
def test_suppression_stops_what_its_topic_and_reason_say_when_it_is_news(
    upload: Upload, welcome: EmailTemplate, news: Topic, reason: SuppressionReason, scope: str
) -> None:
    other = Topic.objects.create(key="other", name="Other", kind=TopicKind.NEWS)
    suppress("ann@example.org", reason=reason, topic={"all": None, "this topic": news, "another topic": other}[scope])
    expected = [] if scope == "another topic" else [REPLIES[reason]]
    assert send_to_ann_and_bo(upload, welcome) == expected


@pytest.mark.parametrize("has_topic", [True, False])
@pytest.mark.parametrize("reason", list(SuppressionReason))
@pytest.mark.parametrize("scope", ["all", "service", "news"])
def test_only_an_unsubscription_leaves_service_mail_alone(
    upload: Upload, welcome: EmailTemplate, reason: SuppressionReason, scope: str, has_topic: bool
) -> None:
    service = Topic.objects.get(key="service")
    welcome.topic = service if has_topic else None
    welcome.save()
    topic = {"all": None, "service": service, "news": Topic.objects.get(key="news")}[scope]
    suppress("ann@example.org", reason=reason, topic=topic)
    is_stopped = scope != "news" and reason != SuppressionReason.UNSUBSCRIBED
    assert send_to_ann_and_bo(upload, welcome) == ([REPLIES[reason]] if is_stopped else [])


def test_suppression_stops_nothing_when_it_has_ended(upload: Upload, welcome: EmailTemplate) -> None:
    suppress("ann@example.org", reason=SuppressionReason.BOUNCED, ends_at=timezone.now() - timedelta(seconds=1))
    suppress("bo@example.org", reason=SuppressionReason.BOUNCED, ends_at=timezone.now() + timedelta(hours=1))
    assert send_to_ann_and_bo(upload, welcome) == [REPLIES[SuppressionReason.BOUNCED]]
    assert (is_suppressed("ann@example.org"), is_suppressed("bo@example.org")) == (False, True)


def test_later_end_wins_when_the_same_reason_comes_twice() -> None:
    now = timezone.now()
    digest = find_digest("ann@example.org")

    def add(days: int | None) -> int:
        ends_at = None if days is None else now + timedelta(days=days)
        return suppress_digests([digest, digest], reason=SuppressionReason.BOUNCED, ends_at=ends_at)

    assert [add(90), add(30), add(90), add(120), add(None), add(5), add(None)] == [1, 0, 0, 1, 1, 0, 0]
    assert list_of(digest).get().ends_at is None
    assert SuppressionList.objects.get().version == 3


def test_other_reasons_and_topics_stay_when_one_is_lifted() -> None:
    news = Topic.objects.get(key="news")
    digest = find_digest("ann@example.org")
    suppress_digests([digest], reason=SuppressionReason.UNSUBSCRIBED, topic=news)
    suppress_digests([digest], reason=SuppressionReason.UNSUBSCRIBED)
    suppress_digests([digest], reason=SuppressionReason.COMPLAINED)
    assert lift_digest(digest, topic=news, reasons=[SuppressionReason.UNSUBSCRIBED]) == 1
    assert lift_digest(digest, topic=news, reasons=[SuppressionReason.UNSUBSCRIBED]) == 0
    assert lift_digest(digest, topic=None, reasons=[SuppressionReason.UNSUBSCRIBED]) == 1
    assert [found.reason for found in list_of(digest)] == [SuppressionReason.COMPLAINED]
    assert lift_all(digest) == 1
    assert not is_suppressed("ann@example.org")


def test_duplicates_are_found_as_before_when_the_list_is_not_empty(upload: Upload) -> None:
    text = "email,name\n" + "".join(f"p{number % 900}@example.org,x\n" for number in range(1000))
    before = upload(text)
    suppress("somebody@example.org", reason=SuppressionReason.MANUAL)
    after = upload(text)
    assert (after.total_count, after.duplicate_count) == (before.total_count, before.duplicate_count) == (900, 100)


@pytest.mark.parametrize("shared", list(SharedAddresses))
def test_every_email_to_the_address_is_suppressed_when_rows_share_it(
    sender: User, welcome: EmailTemplate, shared: SharedAddresses
) -> None:
    suppress("ann@example.org", reason=SuppressionReason.MANUAL)
    recipients = [{"email": "Ann@example.org", "name": "1"}, {"email": "bo@example.org", "name": "2"}]
    recipients.append({"email": "ann@example.org", "name": "3"})
    batch = import_list(recipients, user=sender, shared=shared).batch
    assert not unknown_digests(batch)
    creation.create_job(batch, template=welcome, user=None)
    batch.refresh_from_db()
    expected = 2 if shared == SharedAddresses.EACH else 1
    assert batch.suppressed_count == len(suppressed_rows(batch)) == expected
    assert batch.emails.filter(status=EmailStatus.PENDING).count() == 1


@pytest.mark.parametrize("shared", list(SharedAddresses))
def test_members_of_a_group_have_their_digests(sender: User, welcome: EmailTemplate, shared: SharedAddresses) -> None:
    group = Group.objects.create(name="club")
    for name in ("ann", "Bo", "zoë"):
        User.objects.create_user(name, f"{name}@example.org").groups.add(group)
    suppress("ann@example.org", reason=SuppressionReason.MANUAL)
    suppress("zoë@example.org", reason=SuppressionReason.MANUAL)
    batch = import_group(group, user=sender, shared=shared).batch
    assert not unknown_digests(batch)
    job = creation.create_job(batch, template=welcome, user=None)
    batch.refresh_from_db()
    assert (batch.total_count, batch.suppressed_count, job.total_count) == (3, 2, 1)


def test_added_rows_have_their_digests(upload: Upload) -> None:
    batch, _ = append_csv(upload("email,name\nann@example.org,Ann\n"), io.BytesIO(b"email,name\nBo@example.org,Bo\n"))
    assert batch.total_count == 2
    assert not unknown_digests(batch)


def test_send_is_refused_when_everybody_is_suppressed(upload: Upload, welcome: EmailTemplate) -> None:
    suppress("ann@example.org", reason=SuppressionReason.MANUAL)
    batch = upload("email,name\nann@example.org,Ann\n")
    with pytest.raises(JobRefused, match=r"^Nobody gets this mail.* \(1 manual\)\. Name other recipients"):
        creation.create_job(batch, template=welcome, user=None)
    batch.refresh_from_db()
    assert batch.status == BatchStatus.DRAFT


@pytest.mark.django_db(transaction=True)
def test_one_suppression_is_made_when_many_ask_at_once() -> None:
    def work() -> None:
        try:
            suppress("ann@example.org", reason=SuppressionReason.MANUAL)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert Suppression.objects.count() == SuppressionList.objects.get().version == 1


def test_no_address_is_in_the_tables_of_the_list() -> None:
    suppress("ann@example.org", reason=SuppressionReason.MANUAL)
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(t::text, ' ') FROM batches_suppression t")
        [(text,)] = cursor.fetchall()
    assert "ann" not in text
    assert Email.objects.count() == 0
