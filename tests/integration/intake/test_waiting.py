"""A spreadsheet may wait for a slot. No transaction and no lock waits with it."""

from __future__ import annotations

import io

import pytest
from django.contrib.auth.models import User
from django.db import connection

from batches.intake import IdempotencyKey, NotADraft, ReadingOptions, append_csv, import_csv, reread_upload
from batches.models import Batch
from tests.integration.conftest import emails_of
from tests.unit.files.spreadsheet_files import make_excel

ANN = make_excel(["email", "name"], ["ann@x.org", "Ann"]).getvalue()
BO = make_excel(["email", "name"], ["bo@x.org", "Bo"]).getvalue()


class WatchedFile(io.BytesIO):
    """Knows whether the first reader that came to its end was in a transaction. That reader copies it for its child."""

    was_in_transaction: bool | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if not data and self.was_in_transaction is None:
            self.was_in_transaction = connection.in_atomic_block
        return data


@pytest.fixture
def draft(sender: User) -> Batch:
    return import_csv(io.BytesIO(ANN), filename="ann.xlsx", user=sender).batch


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_when_a_spreadsheet_is_read(sender: User, draft: Batch) -> None:
    imported, added = WatchedFile(ANN), WatchedFile(BO)
    import_csv(imported, filename="list.xlsx", user=sender)
    append_csv(draft, added)
    assert (imported.was_in_transaction, added.was_in_transaction) == (False, False)


@pytest.mark.django_db(transaction=True)
def test_file_is_not_read_when_its_key_made_a_batch(sender: User) -> None:
    key = IdempotencyKey("key", "a" * 64)
    first = import_csv(io.BytesIO(ANN), filename="list.xlsx", user=sender, key=key)
    again = WatchedFile(ANN)
    assert import_csv(again, filename="list.xlsx", user=sender, key=key).batch == first.batch
    assert again.was_in_transaction is None


@pytest.mark.django_db(transaction=True)
def test_rows_that_were_added_stay_when_the_file_was_being_read_again(draft: Batch) -> None:
    class LateOptions(ReadingOptions):
        """Options that are used after somebody has added rows."""

        @property
        def sheet(self) -> str | None:
            append_csv(draft, io.BytesIO(b"email,name\nbo@x.org,Bo\n"))
            return None

        @sheet.setter
        def sheet(self, value: str | None) -> None: ...

    with pytest.raises(NotADraft, match="no longer stored"):
        reread_upload(draft, LateOptions())
    assert [address for _, address, _ in emails_of(draft)] == ["ann@x.org", "bo@x.org"]
