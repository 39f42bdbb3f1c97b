"""The forms of the review page that change the list."""

from __future__ import annotations

from io import BytesIO

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from batches import intake
from batches.files.encoding import CHOICES
from batches.files.findings import AddressColumn, Reading
from batches.models import Batch, BatchStatus, Email, EmailTemplate, RejectedRow, SharedAddresses, UploadChunk
from batches.wording import ENCODING_NAMES
from tests.conftest import MakeBatch

LIST = "Name;E-Mail;Town\nZoë;zoe@example.org;Oslo\nNed;ned@@example;Leeds\n"


@pytest.fixture
def draft(sender: User, welcome: EmailTemplate) -> Batch:
    return intake.import_csv(BytesIO(LIST.encode("cp1252")), filename="list.csv", user=sender).batch


def post(page: Client, batch: Batch, name: str, **form: object) -> HttpResponse:
    return page.post(reverse(f"review-{name}", args=[batch.pk]), form)  # type: ignore[return-value]


def test_column_fills_another_merge_field(page: Client, draft: Batch) -> None:
    answer = post(page, draft, "fields", **{"field-name": "name", "field-town": " city ", "template": "welcome_email"})
    assert answer.headers["Location"].endswith("?template=welcome_email&row=2#list")
    draft.refresh_from_db()
    assert draft.merge_fields == ["name", "city"]


@pytest.mark.parametrize("name", ["two words", "if", "email", ""])
def test_impossible_name_is_refused_and_the_typed_names_are_kept(name: str, page: Client, draft: Batch) -> None:
    answer = post(page, draft, "fields", **{"field-name": "first_one", "field-town": name})
    assert answer.status_code == 400
    text = answer.content.decode()
    assert 'name="field-name" value="first_one"' in text
    assert f'name="field-town" value="{name}"' in text
    draft.refresh_from_db()
    assert draft.merge_fields == ["name", "town"]


def test_names_are_refused_when_two_columns_have_the_same(page: Client, draft: Batch) -> None:
    answer = post(page, draft, "fields", **{"field-name": "town", "field-town": "town"})
    assert answer.status_code == 400
    assert "Two fields would be named" in answer.content.decode()


def test_file_is_read_again_in_another_encoding(page: Client, draft: Batch) -> None:
    post(page, draft, "reread", encoding="cp1251", delimiter=";", header_row="1", address_indexes="1")
    draft.refresh_from_db()
    assert draft.encoding == "cp1251"
    assert draft.emails.get().fields[0] == "Zoл"


def test_wrong_reading_is_refused_and_the_list_is_kept(page: Client, draft: Batch) -> None:
    answer = post(page, draft, "reread", encoding="utf-8", delimiter=";", address_indexes="")
    assert answer.status_code == 400
    text = answer.content.decode()
    assert 'role="alert"' in text
    assert '<option value="utf-8" selected>' in text and '<option value="cp1252" >' in text  # the form keeps the choice
    assert draft.emails.count() == 1


def test_earlier_choice_is_kept_when_a_button_makes_another(page: Client, draft: Batch) -> None:
    post(page, draft, "reread", encoding="cp1251")
    post(page, draft, "reread", header_row="0", address_indexes="1")
    post(page, draft, "reread", shared_addresses="each")
    draft.refresh_from_db()
    assert draft.encoding == "cp1251"
    assert not draft.has_header
    assert draft.shared_addresses == SharedAddresses.EACH
    assert draft.reading["chosen"] == {"encoding": "cp1251", "header_row": 0}


def test_line_of_the_headings_is_asked_for_as_a_number(page: Client, draft: Batch) -> None:
    answer = post(page, draft, "reread", header_row="the second")
    assert answer.status_code == 400
    text = answer.content.decode()
    assert "The line of the headings must be a number." in text
    assert 'value="the second"' in text


def test_buttons_are_gone_when_the_file_is_no_longer_stored(page: Client, draft: Batch) -> None:
    columns = [AddressColumn(index=index, heading=f"Mail {index}", count=9, is_used=not index) for index in (0, 1)]
    reading = Reading(header_line=1, hidden_count=3, skipped_lines=2, address_columns=columns)
    Batch.objects.filter(pk=draft.pk).update(reading=reading.to_json())
    text = page.get(reverse("review", args=[draft.pk])).content.decode()
    assert "Take them too" in text and "Two columns hold addresses" in text and "The headings are in line 1" in text
    draft.upload_chunks.all().delete()
    text = page.get(reverse("review", args=[draft.pk])).content.decode()
    assert "3 rows are hidden in the sheet" in text
    assert "Take them too" not in text and "Read the file again" not in text
    assert "Two columns hold addresses" not in text and "The headings are in line" not in text


def test_corrected_rows_are_added(page: Client, draft: Batch) -> None:
    file = BytesIO(b"Name;E-Mail;Town;line\nNed;ned@example.org;Leeds;3\n")
    file.name = "corrected.csv"
    post(page, draft, "add", file=file)
    assert set(draft.emails.values_list("address", flat=True)) == {"zoe@example.org", "ned@example.org"}
    assert not draft.rejected_rows.exists()


def test_missing_file_is_named(page: Client, draft: Batch) -> None:
    answer = post(page, draft, "add")
    assert answer.status_code == 400
    assert "Choose the file with the corrected rows first." in answer.content.decode()


def test_no_row_is_left_when_a_draft_is_discarded(page: Client, draft: Batch) -> None:
    assert post(page, draft, "discard").headers["Location"] == "/"
    for model in (Batch, Email, RejectedRow, UploadChunk):
        assert not model.objects.exists()


@pytest.mark.parametrize("name", ["fields", "reread", "add", "discard"])
def test_batch_that_was_sent_is_not_changed(name: str, page: Client, make_batch: MakeBatch) -> None:
    batch = make_batch(BatchStatus.COMPLETED, sent=1)
    file = BytesIO(b"Name,E-Mail\nBo,bo@example.org\n")
    file.name = "more.csv"
    answer = page.post(reverse(f"review-{name}", args=[batch.pk]), {"field-name": "other", "file": file}, follow=True)
    assert answer.redirect_chain == [(reverse("batch", args=[batch.pk]), 302)]
    assert "was sent or is being sent" in answer.content.decode()
    batch.refresh_from_db()
    assert (batch.merge_fields, batch.emails.count()) == (["name"], 1)


def test_every_encoding_that_intake_offers_has_a_name_for_people() -> None:
    assert list(ENCODING_NAMES) == list(CHOICES)


def test_encoding_has_its_plain_name_when_the_file_begins_with_a_mark(page: Client, sender: User) -> None:
    data = BytesIO("E-Mail\nzoe@example.org\n".encode("utf-8-sig"))
    batch = intake.import_csv(data, filename="list.csv", user=sender).batch
    text = page.get(reverse("review", args=[batch.pk])).content.decode()
    assert "File read as <b>Unicode (UTF-8)</b>" in text
    assert '<option value="utf-8" selected>' in text
    assert "Save the names" not in text  # there are none


def test_file_is_refused_when_utf16_is_chosen_and_the_file_is_not_utf16(page: Client, draft: Batch) -> None:
    answer = post(page, draft, "reread", encoding="utf-16", delimiter=";")
    assert answer.status_code == 400
    assert "The file is not UTF-16." in answer.content.decode()
    draft.refresh_from_db()
    assert draft.encoding == "cp1252"
