from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from batches.files.opening import ReadingOptions
from batches.intake import append_csv, reread_upload
from batches.intake.importing import ANALYZED_FROM
from batches.jobs.estimates import DEFAULT_RATE_PER_SECOND
from batches.models import Batch, EmailTemplate, JobStatus, SharedAddresses
from batches.rendering.template import MessageParts, TemplateFault
from batches.reviewing import FIRST_ROWS, NearColumn, review
from tests.conftest import MakeJob
from tests.integration.conftest import Upload

pytestmark = pytest.mark.django_db

LIST = "name,email,town\n" + "".join(
    f"{'' if number % 4 == 0 else 'Name'},user{number}@example.com,\n" for number in range(20)
)


@pytest.fixture
def template(db: None) -> EmailTemplate:
    return EmailTemplate.objects.create(
        key="t", name="T", subject="Hi {{ name }}", text="{{ email }} {{ town }} {{ street }} {{ house }}"
    )


def test_review_counts_what_is_missing_and_blank_when_a_template_needs_it(
    upload: Upload, template: EmailTemplate
) -> None:
    batch = upload(LIST + "X,nope,\nX,josé@example.com,\nX,JOSÉ@example.com,\n")
    found = review(batch, MessageParts.of(template))
    assert (found.total_count, found.rejected_count, found.duplicate_count) == (21, 1, 1)
    assert found.missing_fields == ("house", "street")
    assert found.blank_counts == {"name": 5, "town": 21}
    assert found.smtputf8_count == 1


def test_review_shows_the_first_rows_when_there_are_more(upload: Upload, template: EmailTemplate) -> None:
    found = review(upload(LIST), MessageParts.of(template))
    assert len(found.first_rows) == FIRST_ROWS
    assert found.first_rows[1].address == "user1@example.com"
    assert found.first_rows[1].fields == {"name": "Name", "town": ""}


def test_review_counts_nothing_blank_when_the_template_needs_no_field(upload: Upload, welcome: EmailTemplate) -> None:
    welcome.subject = welcome.text = welcome.html = "Hello"
    assert review(upload(LIST), MessageParts.of(welcome)).blank_counts == {}


def test_review_warns_when_the_same_content_was_sent_within_a_day(
    upload: Upload, welcome: EmailTemplate, make_job: MakeJob
) -> None:
    sent = upload(LIST)
    job = make_job(sent, JobStatus.COMPLETED, completed_at=timezone.now())
    again = upload(LIST)
    assert review(again, MessageParts.of(welcome)).same_content_at is None  # nothing went out
    type(job).objects.filter(pk=job.pk).update(sent_count=1)
    job.refresh_from_db()
    found = review(again, MessageParts.of(welcome))
    assert (found.same_content_at, found.same_content_batch_id) == (job.created_at, sent.pk)
    assert review(upload(LIST + "x,cat@example.com,\n"), MessageParts.of(welcome)).same_content_at is None
    assert review(sent, MessageParts.of(welcome)).same_content_at is None
    tomorrow = timezone.now() + timedelta(hours=25)
    assert review(again, MessageParts.of(welcome), now=tomorrow).same_content_at is None


def test_review_forecasts_the_finish_from_the_limits_of_the_relay(
    upload: Upload, welcome: EmailTemplate, settings: Settings
) -> None:
    batch = upload(LIST)
    assert review(batch, MessageParts.of(welcome)).forecast.seconds == 20 / DEFAULT_RATE_PER_SECOND
    settings.SEND_RATE = 1
    assert review(batch, MessageParts.of(welcome)).forecast.seconds == 20


def test_review_says_why_when_the_template_cannot_be_compiled(upload: Upload, welcome: EmailTemplate) -> None:
    welcome.text = "{{ name"
    with pytest.raises(TemplateFault):
        review(upload(LIST), MessageParts.of(welcome))


def test_field_matches_a_column_when_they_differ_in_case_and_signs(upload: Upload, template: EmailTemplate) -> None:
    template.subject, template.text = "Hi", "{{ Name }} {{ Street_Name }} {{ Towns }}"
    found = review(
        upload("name,email,Street-Name,town\n,ann@example.com,High Street,Leeds\n"), MessageParts.of(template)
    )
    assert found.missing_fields == ("Towns",)
    assert found.missing[0].near[0] == NearColumn(merge_field="town", heading="town")
    assert found.missing[0].merge_field == "towns"
    assert found.blank_counts == {"name": 1}


ODD = "name,email,town\n,a@example.com,\nB,b@example.com,Ulm\n,é@example.com,\nB,b@example.com,\n ,c@example.com,Bonn\n"


@pytest.mark.parametrize(
    ("shared", "blanks", "count"),
    [(SharedAddresses.FIRST, [3, 2], 4), (SharedAddresses.EACH, [3, 3], 5), (SharedAddresses.TOGETHER, [3, 2], 4)],
)
def test_import_counts_what_is_blank(upload: Upload, shared: SharedAddresses, blanks: list[int], count: int) -> None:
    batch = reread_upload(upload(ODD), ReadingOptions(), shared)
    assert (batch.total_count, batch.blank_counts, batch.smtputf8_count) == (count, blanks, 1)


def test_added_rows_are_counted_when_a_draft_gets_more(upload: Upload) -> None:
    draft, _ = append_csv(upload(ODD), io.BytesIO(b"town,email,name\n,d@example.com,D\n"))
    assert (draft.total_count, draft.blank_counts, draft.smtputf8_count) == (5, [3, 3], 1)


def test_review_counts_once_when_the_import_did_not(upload: Upload, template: EmailTemplate) -> None:
    batch = upload(ODD)
    Batch.objects.filter(pk=batch.pk).update(blank_counts=None, smtputf8_count=None)
    batch.refresh_from_db()
    found = review(batch, MessageParts.of(template))
    assert (found.blank_counts, found.smtputf8_count) == ({"name": 3, "town": 2}, 1)
    batch.refresh_from_db()
    assert (batch.blank_counts, batch.smtputf8_count) == ([3, 2], 1)


@pytest.mark.django_db(transaction=True)
def test_planner_knows_the_emails_when_a_large_list_was_imported(upload: Upload) -> None:
    upload("email\n" + "".join(f"p{number}@example.com\n" for number in range(ANALYZED_FROM)))
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE relname = 'batches_email'")
        assert cursor.fetchone() == (ANALYZED_FROM,)
