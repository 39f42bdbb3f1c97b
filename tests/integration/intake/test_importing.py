from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection, connections
from pytest_django import Settings

from batches.files.full_disk import refuse_full_disk
from batches.files.spooling import spool
from batches.intake import (
    FileTooLarge,
    IdempotencyConflict,
    IdempotencyKey,
    Imported,
    ListRefused,
    StorageFull,
    import_csv,
    import_group,
    import_list,
)
from batches.intake.lists import Recipients
from batches.models import Batch, BatchSource, BatchStatus, Email, RejectedRow, UploadChunk
from tests.integration.conftest import Upload, emails_of, rejected_of

TWO = b"email,name\nann@example.com,Ann\nbob@example.com,Bob\n"
KEY = IdempotencyKey("key-1", "a" * 64)


@pytest.mark.django_db
def test_batch_is_a_draft_of_the_user_when_a_file_is_uploaded(sender: User) -> None:
    imported = import_csv(io.BytesIO(TWO), filename="C:\\lists\\my\x07list.csv", user=sender)
    batch = Batch.objects.get(pk=imported.batch.pk)
    assert imported.is_new
    assert (batch.created_by, batch.status, batch.source) == (sender, BatchStatus.DRAFT, BatchSource.UPLOAD)
    assert (batch.filename, batch.total_count) == ("mylist.csv", 2)


@pytest.mark.django_db
def test_same_batch_is_returned_when_the_key_comes_again(sender: User) -> None:
    first = import_csv(io.BytesIO(TWO), filename="a.csv", user=sender, key=KEY)
    again = import_csv(io.BytesIO(TWO), filename="a.csv", user=sender, key=KEY)
    assert (first.is_new, again.is_new, again.batch.pk) == (True, False, first.batch.pk)
    assert Email.objects.count() == 2


@pytest.mark.django_db
def test_key_is_refused_when_it_comes_with_another_request(sender: User) -> None:
    import_csv(io.BytesIO(TWO), filename="a.csv", user=sender, key=KEY)
    with pytest.raises(IdempotencyConflict) as caught:
        import_list(["cat@example.com"], user=sender, key=IdempotencyKey(KEY.value, "b" * 64))
    assert caught.value.http_status == 409
    assert Batch.objects.count() == 1


@pytest.mark.django_db
def test_same_key_makes_two_batches_when_two_users_send_it(sender: User, staff: User) -> None:
    batches = {import_csv(io.BytesIO(TWO), filename="a", user=user, key=KEY).batch.pk for user in (sender, staff, None)}
    assert len(batches) == 3
    assert not import_csv(io.BytesIO(TWO), filename="a", user=None, key=KEY).is_new


@pytest.mark.django_db
def test_key_can_be_used_again_when_its_first_request_failed(sender: User) -> None:
    with pytest.raises(ListRefused):
        import_csv(io.BytesIO(b""), filename="a.csv", user=sender, key=KEY)
    assert import_csv(io.BytesIO(TWO), filename="a.csv", user=sender, key=KEY).is_new


@pytest.mark.django_db(transaction=True)
def test_one_batch_is_made_when_a_hundred_identical_requests_come_at_once(sender: User) -> None:
    data = b"email,name\n" + b"".join(b"user%d@example.com,Name\n" % number for number in range(2000))
    start = threading.Barrier(100)

    def post() -> Imported:
        try:
            start.wait(timeout=60)
            return import_csv(io.BytesIO(data), filename="a.csv", user=sender, key=KEY)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(100) as pool:
        answers = [future.result(timeout=120) for future in [pool.submit(post) for _ in range(100)]]
    assert sum(answer.is_new for answer in answers) == 1
    assert len({answer.batch.pk for answer in answers}) == 1
    assert {answer.batch.total_count for answer in answers} == {2000}
    assert (Batch.objects.count(), Email.objects.count()) == (1, 2000)


@pytest.mark.django_db
def test_list_becomes_emails_when_it_mixes_strings_and_mappings(sender: User) -> None:
    people: Recipients = [
        "ann@example.com",
        {"email": "bob@example.com", "First Name": "Bob"},
        {"First Name": "Eve"},
        "ANN@example.com",
        {"email": "", "First Name": " "},
    ]
    batch = import_list(people, user=sender).batch
    assert (batch.source, batch.columns, batch.merge_fields) == ("list", ["email", "First Name"], ["first_name"])
    assert emails_of(batch) == [[1, "ann@example.com", [""]], [2, "bob@example.com", ["Bob"]]]
    assert rejected_of(batch) == [[3, "invalid"], [4, "duplicate"], [5, "invalid"]]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("people", "columns"),
    [
        ([{"Email": "ann@x.org", "name": "Ann"}], ["Email", "name"]),
        ([{"name": "Ann", "E-Mail-Adresse": "ann@x.org"}], ["E-Mail-Adresse", "name"]),
        ([{"name": "Ann", "address": "ann@x.org"}], ["address", "name"]),
        ([{"address": "1 High St", "name": "Ann", "mail": "ann@x.org"}], ["mail", "address", "name"]),
        (
            [{"name": "Ann", "workEmail": "old@x.org", "emailAddress": "ann@x.org"}],
            ["emailAddress", "name", "workEmail"],
        ),
        ([{"name": "Ann", "Email": "old@x.org"}, {"name": "Ann", "email": "ann@x.org"}], ["email", "name"]),
    ],
)
def test_address_is_found_by_its_name_when_a_list_spells_it_as_people_do(
    sender: User, people: Recipients, columns: list[str]
) -> None:
    batch = import_list(people, user=sender).batch
    assert batch.columns == columns
    address, fields = batch.emails.order_by("-row").values_list("address", "fields")[0]
    assert (address, "Ann" in fields) == ("ann@x.org", True)
    assert batch.total_count == len(people)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("people", "words"),
    [
        ([{"contact": "ann@x.org", "name": "Ann"}], "The names are: contact, name."),
        ([{"address": "1 High St", "name": "Ann"}], "The names are: address, name."),
        (
            [{"email": ""}, {"email": "nope"}],
            "Recipient 1: The recipient has no address. Give it one, or leave it out. Recipient 2: ",
        ),
    ],
)
def test_list_is_refused_and_nothing_is_kept_when_it_has_no_address(
    sender: User, people: Recipients, words: str
) -> None:
    with pytest.raises(ListRefused) as caught:
        import_list(people, user=sender)
    assert words in str(caught.value)
    assert not Batch.objects.exists()


@pytest.mark.django_db
def test_group_is_refused_when_none_of_its_users_has_an_address(sender: User) -> None:
    group = Group.objects.create(name="Teachers")
    _member(group, "ann", "")
    with pytest.raises(ListRefused, match="No active user of this choice has an email address"):
        import_group(group, user=sender)
    assert not Batch.objects.exists()


@pytest.mark.django_db
def test_list_is_refused_when_it_is_empty(sender: User) -> None:
    with pytest.raises(ListRefused, match="is empty"):
        import_list([], user=sender)


@pytest.mark.django_db
def test_control_characters_are_refused_when_a_list_has_them(sender: User) -> None:
    people = [{"email": "ann@example.com", "name": "A\0nn"}, {"email": "bob@example.com", "name": "B\x85ob"}]
    batch = import_list([*people, {"email": "cat@example.com", "name": "C\\a\tt"}], user=sender).batch
    assert emails_of(batch) == [[3, "cat@example.com", ["C\\a\tt"]]]
    assert rejected_of(batch) == [[1, "invalid"], [2, "invalid"]]


@pytest.mark.django_db
def test_row_is_refused_when_json_spells_half_a_surrogate_pair(sender: User) -> None:
    people: Recipients = [{"email": "ann@example.com", "name": "\ud83d"}, "bob\udc00@example.com", "cat@example.com"]
    batch = import_list(people, user=sender).batch
    assert rejected_of(batch) == [[1, "invalid"], [2, "invalid"]]


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["a\0b", "a\nb", "\ud800"])
def test_list_is_refused_when_the_name_of_a_merge_field_cannot_be_shown(sender: User, name: str) -> None:
    with pytest.raises(ListRefused, match="Rename it"):
        import_list([{"email": "ann@example.com", name: "x"}], user=sender)


def _member(group: Group, name: str, email: str, **columns: object) -> User:
    user = User.objects.create(username=name, email=email, **columns)
    user.groups.add(group)
    return user


@pytest.mark.django_db
def test_group_becomes_emails_when_its_members_are_active_and_have_an_address(sender: User) -> None:
    group = Group.objects.create(name="Teachers")
    _member(group, "ann", "ann@example.com", first_name="Ann", last_name="Doe")
    _member(group, "gone", "gone@example.com", is_active=False)
    _member(group, "blank", "")
    _member(group, "twin", "ANN@example.com")
    _member(group, "idn", "bob@bücher.de", first_name="Bob")
    _member(group, "broken", "nope")
    _member(group, "long", "a" * 65 + "@example.com")
    _member(group, "bell", "cat@example.com", first_name="C\x07at")
    User.objects.create(username="other", email="other@example.com")
    batch = import_group(group, user=sender).batch
    assert (batch.source, batch.filename) == ("users", "Teachers")
    assert batch.merge_fields == ["first_name", "last_name", "username", "name"]
    assert [(address, fields) for _, address, fields in emails_of(batch)] == [
        ("ann@example.com", ["Ann", "Doe", "ann", "Ann Doe"]),
        ("bob@xn--bcher-kva.de", ["Bob", "", "idn", "Bob"]),
    ]
    assert (batch.total_count, batch.rejected_count, batch.duplicate_count) == (2, 3, 1)
    assert batch.rejected_rows.count() == 4


@pytest.mark.django_db
def test_group_makes_one_batch_when_its_key_comes_again(sender: User) -> None:
    group = Group.objects.create(name="Teachers")
    _member(group, "ann", "ann@example.com")
    first = import_group(group, user=sender, key=KEY)
    assert import_group(group, user=sender, key=KEY).batch.pk == first.batch.pk


@pytest.mark.django_db
def test_file_is_refused_when_it_is_too_long(upload: Upload, settings: Settings) -> None:
    settings.UPLOAD_MAX_BYTES = len(TWO) - 1
    with pytest.raises(FileTooLarge) as caught:
        upload(TWO)
    assert caught.value.http_status == 413
    assert not Batch.objects.exists()


class Pipe(io.RawIOBase):
    """A stream that can't seek, like standard input."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks = chunks
        self.given = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        chunk = next(self.chunks, b"")
        self.given += len(chunk)
        return chunk


@pytest.mark.django_db
def test_pipe_is_imported_when_it_can_be_read_only_once(sender: User) -> None:
    batch = import_csv(cast(BinaryIO, Pipe(iter([TWO[:20], TWO[20:]]))), filename="-", user=sender).batch
    assert batch.total_count == 2


@pytest.mark.django_db
def test_no_more_is_read_than_allowed_when_a_pipe_never_ends(sender: User, settings: Settings) -> None:
    settings.UPLOAD_MAX_BYTES = 1_000_000
    pipe = Pipe(b"ann@example.com\n" * 1000 for _ in range(1_000_000))
    with pytest.raises(FileTooLarge):
        import_csv(cast(BinaryIO, pipe), filename="-", user=sender)
    assert pipe.given < 1_100_000


@pytest.mark.django_db
def test_import_says_507_when_the_databases_disk_is_full(sender: User) -> None:
    with connection.cursor() as cursor:
        # The server's own error, raised where a full disk raises it: while the rows are written.
        cursor.execute(
            """CREATE FUNCTION pg_temp.full_disk() RETURNS trigger LANGUAGE plpgsql AS
               $$BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END$$"""
        )
        cursor.execute(
            """CREATE TRIGGER full_disk BEFORE INSERT ON batches_email
               FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.full_disk()"""
        )
    with pytest.raises(StorageFull) as caught:
        import_csv(io.BytesIO(TWO), filename="a.csv", user=sender)
    assert caught.value.http_status == 507
    assert not Batch.objects.exists()


@pytest.mark.django_db
def test_import_says_507_when_the_disk_of_temporary_files_is_full() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(StorageFull), refuse_full_disk():
        spool(io.BytesIO(TWO), full)


CHILD = """
import os, sys, django
django.setup()
from batches.intake import import_csv
import_csv(open(sys.argv[1], "rb"), filename="big.csv", user=None)
"""


@pytest.mark.django_db(transaction=True)
def test_nothing_is_left_when_the_process_is_killed_during_the_import(tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    with path.open("wb") as file:
        for number in range(600_000):
            file.write(b"user.%d@example.com,Name %d\n" % (number, number))
    name = connection.settings_dict["NAME"]
    url = f"postgres://postgres@/{name}?host={connection.settings_dict['HOST'].replace('/', '%2F')}"
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "emailbatch.settings", "DATABASE_URL": url}
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not _is_copying() and time.monotonic() < deadline:
        assert child.poll() is None
    assert _is_copying()
    child.send_signal(signal.SIGKILL)
    child.wait(timeout=10)
    while _is_copying() and time.monotonic() < deadline:
        time.sleep(0.01)
    for model in (Batch, Email, RejectedRow, UploadChunk):
        assert not model.objects.exists()


def _is_copying() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FROM pg_stat_progress_copy
               WHERE relid = 'batches_email'::regclass AND tuples_processed > 1000"""
        )
        row = cursor.fetchone()
        return bool(row and row[0])
