"""The upload form of the first page, without a script."""

from __future__ import annotations

import re
from io import BytesIO
from typing import Any

import pytest
from django.conf import LazySettings, settings
from django.contrib.auth.models import Group, User
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from batches import intake
from batches.models import AuditAction, AuditEntry, Batch, BatchStatus, EmailJob, EmailTemplate
from batches.permissions import Permission
from batches.rendering.template import MessageParts
from batches.reviewing import review
from batches.welcome import create_welcome_template
from tests.conftest import MakeBatch, permit

GOOD_FILE = "Name,E-Mail\nZoë,zoe@example.org\nNed,ned@@example\nMia,mia@example.org\n"


def upload(page: Client, template: EmailTemplate, content: str = GOOD_FILE, **more: Any) -> HttpResponse:
    file = BytesIO(content.encode())
    file.name = "people.csv"
    form = {"file": file, "template": template.key, "then": "review", "key": "k1", "subject": ""}
    return page.post(reverse("home"), form | more)  # type: ignore[return-value]


def read_fields(text: str) -> dict[str, str]:
    """Read the hidden fields of the form of a page. The value of the token of the pages' guard is among them."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text))


def test_upload_leads_to_the_review_when_review_is_chosen(page: Client, welcome: EmailTemplate, sender: User) -> None:
    answer = upload(page, welcome, subject="Other words")
    batch = Batch.objects.get()
    assert (batch.status, batch.created_by, batch.total_count) == (BatchStatus.DRAFT, sender, 2)
    query = "?template=welcome_email&subject=Other+words"
    assert answer.headers["Location"] == reverse("review", args=[batch.pk]) + query


def test_upload_is_sent_when_sending_is_chosen_and_the_question_answered(page: Client, welcome: EmailTemplate) -> None:
    question = page.get(upload(page, welcome, then="send", subject="Hi {{ name }}").headers["Location"])
    text = question.content.decode()
    assert "Send to 2 recipients" in text and "Hi Zoë" in text and "1 line of the list can't be used." in text
    assert not EmailJob.objects.exists()
    batch = Batch.objects.get()
    answer = page.post(reverse("review-send", args=[batch.pk]), read_fields(text))
    job = EmailJob.objects.get()
    assert answer.headers["Location"] == reverse("batch", args=[job.batch_id])
    assert (job.template, job.subject, job.total_count) == (welcome, "Hi {{ name }}", 2)


def test_review_shows_the_reason_when_sending_is_refused(page: Client, welcome: EmailTemplate) -> None:
    answer = page.get(upload(page, welcome, "E-Mail\nzoe@example.org\n", then="send").headers["Location"])
    assert answer.headers["Location"].startswith(reverse("review", args=[Batch.objects.get().pk]))
    assert not EmailJob.objects.exists()
    assert "for which the list has no column" in page.get(answer.headers["Location"]).content.decode()


def test_one_batch_is_made_when_the_form_is_sent_twice(page: Client, welcome: EmailTemplate) -> None:
    for _ in range(2):
        assert upload(page, welcome, then="send").status_code == 302
    assert Batch.objects.count() == 1


def test_reason_is_shown_and_the_input_is_kept_when_the_file_is_no_list(page: Client, welcome: EmailTemplate) -> None:
    answer = upload(page, welcome, "", subject="Typed with care", then="send")
    assert answer.status_code == 400
    text = answer.content.decode()
    assert "Typed with care" in text
    assert 'role="alert"' in text
    assert not Batch.objects.exists()


def test_review_offers_another_reading_when_every_cell_has_two_addresses(page: Client, welcome: EmailTemplate) -> None:
    content = 'Name,E-Mail\nBerg,"ann@example.org; bo@example.org"\nDahl,"cy@example.org; di@example.org"\n'
    answer = upload(page, welcome, content)
    batch = Batch.objects.get()
    assert (batch.total_count, batch.rejected_count) == (0, 2)
    assert "Make each address a recipient" in page.get(answer.headers["Location"]).content.decode()
    page.post(reverse("review-reread", args=[batch.pk]), {"split_cells": "yes"})
    batch.refresh_from_db()
    assert (batch.total_count, batch.rejected_count) == (4, 0)


def test_list_without_a_good_row_is_refused_when_no_other_reading_has_one(page: Client, welcome: EmailTemplate) -> None:
    answer = upload(page, welcome, "Name,E-Mail\nBerg,ann@@example.org\n")
    assert answer.status_code == 400
    assert not Batch.objects.exists()


def test_missing_file_is_named(page: Client, welcome: EmailTemplate) -> None:
    answer = page.post(reverse("home"), {"template": welcome.key, "then": "review", "key": "k"})
    assert "Choose a file of recipients first." in answer.content.decode()


def test_default_template_is_preselected(page: Client, welcome: EmailTemplate) -> None:
    EmailTemplate.objects.create(key="another", name="Another", subject="S", text="T")
    assert f'<option value="{welcome.key}" selected>' in page.get(reverse("home")).content.decode()


def test_file_is_read_in_the_encoding_that_is_chosen(page: Client, welcome: EmailTemplate) -> None:
    for encoding in ("cp1252", "utf-8"):  # the user goes back and sends the form again
        assert upload(page, welcome, encoding=encoding).status_code == 302
    names = [batch.emails.order_by("row")[0].fields for batch in Batch.objects.order_by("pk")]
    assert names == [["ZoÃ«"], ["Zoë"]]


def test_encoding_can_be_chosen_when_the_file_is_not_valid(page: Client, welcome: EmailTemplate) -> None:
    file = BytesIO(b"\xef\xbb\xbfName,E-Mail\nZo\xeb,zoe@example.org\n")
    form = {"file": file, "template": welcome.key, "then": "review", "key": "k1"}
    text = page.post(reverse("home"), form).content.decode()
    assert "Line 2 is not valid utf-8. Choose the encoding" in text
    assert '<details class="more" id="encoding-choice" open>' in text


def test_batch_is_named_after_its_file_when_no_name_is_typed(page: Client, welcome: EmailTemplate) -> None:
    upload(page, welcome)
    batch = Batch.objects.get()
    assert (batch.name, batch.filename, batch.title) == ("people", "people.csv", "people")


def test_batch_has_the_typed_name_when_one_is_typed(page: Client, welcome: EmailTemplate) -> None:
    answer = upload(page, welcome, name=" Summer\u202e fair ")
    assert Batch.objects.get().name == "Summer fair"
    assert "<h1>Summer fair</h1>" in page.get(answer.headers["Location"]).content.decode()


def test_tests_are_left_out_when_the_newest_batches_are_shown(page: Client, make_batch: MakeBatch) -> None:
    for name, is_test in (("Real letter", False), ("Trial letter", True)):
        Batch.objects.filter(pk=make_batch().pk).update(name=name, is_test=is_test)
    text = page.get(reverse("home")).content.decode()
    assert "Real letter" in text
    assert "Trial letter" not in text


def test_batch_is_renamed_when_its_owner_types_a_name(page: Client, make_batch: MakeBatch) -> None:
    batch = make_batch()
    answer = page.post(reverse("batch-name", args=[batch.pk]), {"name": "Parents, autumn"})
    batch.refresh_from_db()
    assert (batch.title, answer.status_code) == ("Parents, autumn", 302)
    assert AuditEntry.objects.filter(batch_id=batch.pk, action=AuditAction.LIST_CHANGE).count() == 1


def test_name_is_refused_when_it_is_too_long(page: Client, make_batch: MakeBatch) -> None:
    batch = make_batch()
    answer = page.post(reverse("batch-name", args=[batch.pk]), {"name": "x" * 201}, follow=True)
    batch.refresh_from_db()
    assert batch.name == ""
    assert "The name is longer than 200 characters. Shorten it." in answer.content.decode()


def test_batch_is_not_renamed_when_it_belongs_to_another_user(page: Client, make_batch: MakeBatch, staff: User) -> None:
    batch = make_batch(owner=staff)
    assert page.post(reverse("batch-name", args=[batch.pk]), {"name": "Mine"}).status_code == 404
    batch.refresh_from_db()
    assert batch.name == ""


def test_pasted_addresses_become_a_list_when_no_file_is_chosen(page: Client, welcome: EmailTemplate) -> None:
    form = {
        "pasted": '"Berg, Ann" <ann@example.org>; bo@example.org',
        "template": welcome.key,
        "then": "review",
        "key": "k",
    }
    page.post(reverse("home"), form)
    batch = Batch.objects.get()
    assert (batch.title, batch.total_count, batch.merge_fields) == ("Pasted addresses", 2, ["name"])


def test_upload_is_refused_when_recipients_are_given_in_two_ways(page: Client, welcome: EmailTemplate) -> None:
    answer = upload(page, welcome, pasted="ann@example.org")
    assert answer.status_code == 422
    assert "Choose the recipients in one way only" in answer.content.decode()


def test_group_becomes_a_list_when_the_user_may_send_to_groups(
    page: Client, welcome: EmailTemplate, sender: User
) -> None:
    group = Group.objects.create(name="Choir")
    sender.groups.add(group)
    form = {"group": group.pk, "template": welcome.key, "then": "review", "key": "k"}
    assert page.post(reverse("home"), form).status_code == 422  # the user has no choice of groups
    permit(sender, Permission.SEND_TO_GROUP)
    assert page.post(reverse("home"), form).status_code == 302
    assert Batch.objects.get().title == "Choir"


def test_steps_and_samples_are_shown_when_a_user_has_no_batch(page: Client, make_batch: MakeBatch) -> None:
    first = page.get(reverse("home")).content.decode()
    assert "Your first email in three steps" in first and "samples/sample-list.xlsx" in first
    make_batch()
    again = page.get(reverse("home")).content.decode()
    assert "Your first email in three steps" not in again and "samples/sample-list.csv" in again


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_sample_list_fits_the_first_letter_when_it_is_uploaded(sender: User, ending: str) -> None:
    path = settings.BASE_DIR / "static" / "samples" / f"sample-list.{ending}"
    with path.open("rb") as file:
        batch = intake.import_csv(file, filename=path.name, user=sender).batch
    assert (batch.total_count, batch.rejected_count) == (5, 0)
    assert batch.merge_fields == ["name", "first_name", "last_name"]
    create_welcome_template()
    found = review(batch, MessageParts.of(EmailTemplate.objects.get(key="welcome_email")))
    assert (found.missing, found.blank_counts) == ((), {})


def test_mail_stops_here_is_said_when_no_mail_server_is_set(
    page: Client, staff: User, settings: LazySettings, client: Client
) -> None:
    settings.IS_LOCAL_INBOX = True
    text = page.get(reverse("home")).content.decode()
    assert "Nobody gets this mail yet." in text and "EMAIL_URL" not in text
    client.force_login(staff)
    assert "EMAIL_URL" in client.get(reverse("home")).content.decode()
    settings.IS_LOCAL_INBOX = False
    assert "Nobody gets this mail yet." not in page.get(reverse("home")).content.decode()
