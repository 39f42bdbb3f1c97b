"""The suppression list: at the import, and at the claim of a lane."""

from __future__ import annotations

import threading

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection

from batches.intake import import_group, import_list
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
)
from batches.suppressions import SUPPRESSED_REPLY, digest_address, is_suppressed, suppress
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


@pytest.mark.parametrize(
    "text",
    [
        "email,name\nann@example.org,Ann\nbo@example.org,Bo\ncy@example.org,Cy\n",
        "email,name\n Ann@Example.ORG ,Ann\nbo@example.org,Bo\ncy@example.org,Cy\n",
        'email,name\n"Ann Berg <ann@example.org>",Ann\nbo@example.org,Bo\ncy@example.org,Cy\n',
    ],
)
def test_import_suppresses_an_address_of_the_list(upload: Upload, text: str) -> None:
    suppress("ann@example.org", reason=SuppressionReason.MANUAL)
    batch = upload(text)
    assert suppressed_rows(batch) == [2]
    assert (batch.total_count, batch.suppressed_count, batch.to_send_count) == (3, 1, 2)
    email = batch.emails.get(row=2)
    assert (email.reply, email.completed_at is not None) == (SUPPRESSED_REPLY, True)
    assert batch.suppression_version == 1


def test_import_of_many_rows_finds_the_few_that_are_suppressed(upload: Upload) -> None:
    for number in (3, 700, 2999):
        suppress(f"person{number}@example.org", reason=SuppressionReason.MANUAL)
    rows = "".join(f"person{number}@example.org,x\n" for number in range(3000))
    batch = upload(f"email,name\n{rows}PERSON3@example.org,again\n")
    assert suppressed_rows(batch) == [5, 702, 3001]
    assert (batch.suppressed_count, batch.duplicate_count) == (3, 1)


def test_duplicates_are_found_as_before_when_the_list_is_not_empty(upload: Upload) -> None:
    text = "email,name\n" + "".join(f"p{number % 900}@example.org,x\n" for number in range(1000))
    before = upload(text)
    suppress("somebody@example.org", reason=SuppressionReason.MANUAL)
    after = upload(text)
    assert (after.total_count, after.duplicate_count) == (before.total_count, before.duplicate_count) == (900, 100)


@pytest.mark.parametrize("shared", list(SharedAddresses))
def test_every_email_to_the_address_is_suppressed_when_rows_share_it(sender: User, shared: SharedAddresses) -> None:
    suppress("ann@example.org", reason=SuppressionReason.MANUAL)
    recipients = [{"email": "Ann@example.org", "n": "1"}, {"email": "bo@example.org", "n": "2"}]
    recipients.append({"email": "ann@example.org", "n": "3"})
    batch = import_list(recipients, user=sender, shared=shared).batch
    expected = 2 if shared == SharedAddresses.EACH else 1
    assert batch.suppressed_count == len(suppressed_rows(batch)) == expected
    assert batch.emails.filter(status=EmailStatus.PENDING).count() == 1


def test_group_is_compared_too(sender: User) -> None:
    group = Group.objects.create(name="club")
    for name in ("ann", "bo", "zoë"):
        User.objects.create_user(name, f"{name}@example.org").groups.add(group)
    suppress("ann@example.org", reason=SuppressionReason.MANUAL)
    suppress("zoë@example.org", reason=SuppressionReason.MANUAL)
    batch = import_group(group, user=sender).batch
    assert (batch.total_count, batch.suppressed_count) == (3, 2)


def test_job_counts_only_those_who_get_mail(upload: Upload, welcome: EmailTemplate) -> None:
    suppress("ann@example.org", reason=SuppressionReason.MANUAL)
    batch = upload("email,name\nann@example.org,Ann\nbo@example.org,Bo\n")
    assert creation.create_job(batch, template=welcome, user=None).total_count == 1


def test_send_is_refused_when_everybody_is_suppressed(upload: Upload, welcome: EmailTemplate) -> None:
    suppress("ann@example.org", reason=SuppressionReason.MANUAL)
    batch = upload("email,name\nann@example.org,Ann\n")
    with pytest.raises(JobRefused, match="Nobody in batch"):
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
