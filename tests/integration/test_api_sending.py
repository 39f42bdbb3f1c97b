"""POST /api/upload and POST /api/emails/send-bulk."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections
from django.test import Client
from django.utils import timezone

from batches.models import (
    ApiToken,
    Batch,
    BatchStatus,
    EmailJob,
    EmailTemplate,
    JobPriority,
    JobStatus,
)
from batches.permissions import Permission
from tests.conftest import permit

GOOD = b"name,email\nAda,ada@example.org\nBob,bob@example.org\n"


def upload(
    client: Client, content: bytes = GOOD, *, filename: str = "people.csv", **more: Any
) -> tuple[int, dict[str, Any]]:
    headers: dict[str, Any] = {
        key: more.pop(key) for key in ("HTTP_AUTHORIZATION", "HTTP_IDEMPOTENCY_KEY") if key in more
    }
    response = client.post("/api/upload", {"file": SimpleUploadedFile(filename, content), **more}, **headers)
    return response.status_code, response.json()


def send_bulk(client: Client, **body: object) -> tuple[int, dict[str, Any]]:
    response = client.post("/api/emails/send-bulk", json.dumps(body), content_type="application/json")
    return response.status_code, response.json()


@pytest.fixture
def api(client: Client, sender: User, welcome: EmailTemplate) -> Client:
    client.force_login(sender)
    return client


def test_batch_and_job_are_made_when_a_file_is_uploaded(api: Client, sender: User) -> None:
    status, answer = upload(api, GOOD + b"Cyd,nobody\nAda,ADA@example.org\n")
    batch, job = Batch.objects.get(), EmailJob.objects.get()
    assert status == 202
    assert answer == {
        "success": True,
        "batchId": batch.pk,
        "jobId": job.pk,
        "filename": "people.csv",
        "totalEmails": 2,
        "rejectedRows": 1,
        "duplicateRows": 1,
    }
    assert (batch.created_by, batch.status) == (sender, BatchStatus.PENDING)
    assert (job.template_key, job.total_count, job.status) == ("welcome_email", 2, JobStatus.QUEUED)


@pytest.mark.parametrize(
    "options",
    [
        {"draft": "true"},
        {"hold": "true"},
        {"draft": "true", "hold": "true"},
        {"draft": "true", "templateId": "welcome_email"},
    ],
    ids=["draft", "former name", "both names", "with a template"],
)
def test_batch_stays_a_draft_when_the_upload_says_so(api: Client, options: dict[str, Any]) -> None:
    status, answer = upload(api, **options)
    assert (status, answer["jobId"]) == (202, None)
    assert Batch.objects.get().status == BatchStatus.DRAFT
    assert not EmailJob.objects.exists()


@pytest.mark.parametrize("options", [{"draft": "false"}, {"hold": "false"}])
def test_batch_is_sent_when_the_upload_says_that_it_is_no_draft(api: Client, options: dict[str, Any]) -> None:
    status, answer = upload(api, **options)
    assert (status, answer["jobId"]) == (202, EmailJob.objects.get().pk)


def test_upload_is_refused_when_draft_and_its_former_name_differ(api: Client) -> None:
    status, answer = upload(api, draft="true", hold="false")
    assert status == 422 and answer["detail"].startswith("'draft' and 'hold' contradict each other.")
    assert not Batch.objects.exists()


def test_former_name_is_deprecated_when_a_program_reads_the_schema(api: Client) -> None:
    schema = api.get("/api/openapi.json").json()
    form = schema["paths"]["/api/upload"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["hold"]["deprecated"] is True
    assert "deprecated" not in form["properties"]["draft"]


def test_same_batch_is_answered_when_a_key_comes_again_with_the_former_name(api: Client) -> None:
    first = upload(api, hold="true", HTTP_IDEMPOTENCY_KEY="k1")
    assert upload(api, draft="true", HTTP_IDEMPOTENCY_KEY="k1") == first
    assert Batch.objects.count() == 1


def test_named_template_and_subject_are_used_when_they_are_given(api: Client) -> None:
    other = EmailTemplate.objects.create(key="other", name="Other", subject="S", text="T")
    for template_id in ("other", str(other.pk)):
        assert upload(api, templateId=template_id, subject="Mine")[0] == 202
    assert set(EmailJob.objects.values_list("template_key", "subject")) == {("other", "Mine")}


def test_known_templates_are_named_when_the_template_is_unknown(api: Client) -> None:
    status, answer = upload(api, templateId="welcom")
    assert status == 422
    assert "no template 'welcom'" in answer["detail"] and "welcome_email" in answer["detail"]
    assert not Batch.objects.exists()


def test_nothing_is_imported_when_no_template_is_default(api: Client) -> None:
    EmailTemplate.objects.update(is_default=False)
    status, answer = upload(api)
    assert status == 422 and "default" in answer["detail"]
    assert not Batch.objects.exists()


def test_no_draft_is_left_when_the_list_lacks_a_column_of_the_template(api: Client) -> None:
    status, answer = upload(api, b"email\nada@example.org\n")
    assert status == 422 and "name" in answer["detail"]
    status, answer = send_bulk(api, recipients=["ada@example.org"])
    assert status == 422 and "name" in answer["detail"]
    assert not Batch.objects.exists()


def test_key_can_be_used_again_when_its_upload_was_refused(api: Client) -> None:
    key: dict[str, Any] = {"HTTP_IDEMPOTENCY_KEY": "key-1"}
    assert upload(api, b"email\nada@example.org\n", **key)[0] == 422
    assert upload(api, **key)[0] == 202


def test_draft_stays_when_another_request_made_it(api: Client, sender: User) -> None:
    key: dict[str, Any] = {"HTTP_IDEMPOTENCY_KEY": "key-1"}
    EmailTemplate.objects.create(key="town", name="Town", subject="Hi", text="{{ town }}")
    assert upload(api, templateId="town", draft="false", **key)[0] == 422
    assert not Batch.objects.exists()
    assert upload(api, draft="true", **key)[0] == 202
    assert Batch.objects.get().status == BatchStatus.DRAFT


@pytest.mark.parametrize("draft", ["true", "false"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"email,name\nada,Ada\nbob at x,Bob\n,Cy\nx,Di\n", ["Line 2: ", "Line 3: ", "Line 4: ", "1 more"]),
        (b"email,name\n", ["a header and no recipients"]),
    ],
)
def test_list_is_refused_with_its_reasons_when_no_row_is_good(
    api: Client, content: bytes, words: list[str], draft: str
) -> None:
    status, answer = upload(api, content, draft=draft)
    assert status == 400
    assert [word for word in words if word not in answer["detail"]] == []
    assert not Batch.objects.exists()


@pytest.mark.parametrize(
    ("shared", "bodies"), [({}, 1), ({"sharedAddresses": "each"}, 2), ({"sharedAddresses": "together"}, 1)]
)
def test_rows_with_one_address_follow_the_choice_when_a_request_makes_one(
    api: Client, shared: dict[str, str], bodies: int
) -> None:
    rows = [{"email": "pia@example.org", "name": "Ann"}, {"email": "pia@example.org", "name": "Bo"}]
    assert send_bulk(api, recipients=rows, **shared)[0] == 202
    assert upload(api, b"email,name\npia@example.org,Ann\npia@example.org,Bo\n", **shared)[0] == 202
    assert [batch.total_count for batch in Batch.objects.all()] == [bodies, bodies]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("adressColumns", "addressColumns"),
        ("addressColumn", "addressColumns"),
        ("header_row", "headerRow"),
        ("template", "templateId"),
        ("SplitCells", "splitCells"),
    ],
)
def test_near_option_is_named_when_an_upload_has_a_misspelt_one(api: Client, name: str, near: str) -> None:
    options: dict[str, Any] = {name: "1"}
    status, answer = upload(api, **options)
    assert (status, answer["detail"]) == (422, f"There is no field '{name}'. Did you mean '{near}'?")
    assert not Batch.objects.exists()


def test_all_options_are_named_when_an_upload_has_one_that_resembles_none(api: Client) -> None:
    assert "These exist: addressColumns, delimiter, draft," in upload(api, zzz="1")[1]["detail"]


NEXT_YEAR = (timezone.now() + timedelta(days=365)).replace(microsecond=0)


def test_upload_is_sent_at_its_time_and_with_its_priority(api: Client) -> None:
    status, answer = upload(api, scheduledAt=NEXT_YEAR.isoformat(), priority="high")
    job = EmailJob.objects.get(pk=answer["jobId"])
    assert (status, job.status, job.scheduled_at, job.priority) == (202, JobStatus.SCHEDULED, NEXT_YEAR, "high")
    assert Batch.objects.get().status == BatchStatus.SCHEDULED


@pytest.mark.parametrize("options", [{}, {"scheduledAt": "", "priority": ""}])
def test_upload_is_sent_now_when_it_names_no_time(api: Client, options: dict[str, Any]) -> None:
    assert upload(api, **options)[0] == 202
    job = EmailJob.objects.get()
    assert (job.status, job.scheduled_at, job.priority) == (JobStatus.QUEUED, None, JobPriority.DEFAULT)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scheduledAt": "tomorrow"}, "'scheduledAt' is invalid. Write a time"),
        ({"scheduledAt": "2030-01-01T09:00:00"}, "Add the time zone"),
        ({"priority": "low"}, "'priority' is invalid. Write 'high' or 'default'"),
        ({"scheduledAt": NEXT_YEAR.isoformat(), "draft": "true"}, "A draft has no 'scheduledAt' yet"),
        ({"priority": "high", "hold": "true"}, "A draft has no 'priority' yet"),
        ({"shedule": "x"}, "There is no field 'shedule'. Did you mean 'scheduledAt'?"),
        ({"scheduled_at": "x"}, "Did you mean 'scheduledAt'?"),
        ({"Priority": "high"}, "Did you mean 'priority'?"),
        ({"sheduledAt": SimpleUploadedFile("x", b"x")}, "Did you mean 'scheduledAt'?"),
        ({"scheduledAt": SimpleUploadedFile("x", b"x")}, "'scheduledAt' is a file. Send it as a text"),
    ],
)
def test_nothing_is_imported_when_an_option_of_an_upload_cannot_be_followed(
    api: Client, options: dict[str, Any], words: str
) -> None:
    status, answer = upload(api, **options)
    assert status == 422 and words in answer["detail"], answer
    assert not Batch.objects.exists()


def test_other_time_is_another_request_when_the_idempotency_key_is_the_same(api: Client) -> None:
    assert upload(api, HTTP_IDEMPOTENCY_KEY="k", scheduledAt=NEXT_YEAR.isoformat())[0] == 202
    assert upload(api, HTTP_IDEMPOTENCY_KEY="k", scheduledAt=NEXT_YEAR.isoformat())[0] == 202
    assert upload(api, HTTP_IDEMPOTENCY_KEY="k")[0] == 409
    assert EmailJob.objects.count() == 1


def test_upload_is_accepted_when_its_form_has_the_token_of_a_page(api: Client) -> None:
    assert upload(api, csrfmiddlewaretoken="x" * 32)[0] == 202


def test_answer_is_422_when_the_file_is_missing(api: Client) -> None:
    response = api.post("/api/upload", {"subject": "x"})
    assert response.status_code == 422
    assert "'file'" in response.json()["detail"]


def test_answer_names_the_fault_when_the_file_is_no_list(api: Client) -> None:
    status, answer = upload(api, b"PK\x03\x04" + b"\x00" * 100, filename="archive.zip")
    assert status in (400, 415) and answer["detail"].endswith(".")
    assert not Batch.objects.exists()


def test_answer_is_413_when_the_file_passes_the_limit(api: Client, settings) -> None:  # type: ignore[no-untyped-def]
    settings.UPLOAD_MAX_BYTES = len(GOOD) - 1
    status, answer = upload(api)
    assert status == 413 and "Split it" in answer["detail"]
    settings.UPLOAD_MAX_BYTES = len(GOOD)
    assert upload(api)[0] == 202


def test_same_batch_is_answered_when_a_key_comes_again(api: Client) -> None:
    first = upload(api, HTTP_IDEMPOTENCY_KEY="k1")
    assert upload(api, HTTP_IDEMPOTENCY_KEY="k1") == first
    assert Batch.objects.count() == EmailJob.objects.count() == 1


@pytest.mark.parametrize(
    "changed", [{"content": GOOD + b"C,c@example.org\n"}, {"subject": "x"}, {"draft": "true"}, {"name": "other.csv"}]
)
def test_answer_is_409_when_a_key_comes_with_another_request(api: Client, changed: dict[str, object]) -> None:
    upload(api, HTTP_IDEMPOTENCY_KEY="k1")
    status, answer = upload(api, HTTP_IDEMPOTENCY_KEY="k1", **changed)  # type: ignore[arg-type]
    assert status == 409 and "another request" in answer["detail"]
    assert Batch.objects.count() == 1


def test_missing_job_is_made_when_a_key_comes_again_after_a_crash(api: Client) -> None:
    _, first = upload(api, HTTP_IDEMPOTENCY_KEY="k1")
    EmailJob.objects.all().delete()
    Batch.objects.update(status=BatchStatus.DRAFT)
    status, second = upload(api, HTTP_IDEMPOTENCY_KEY="k1")
    assert (status, second["batchId"]) == (202, first["batchId"])
    assert EmailJob.objects.get().pk == second["jobId"]


@pytest.mark.django_db(transaction=True)
def test_one_batch_is_made_when_a_hundred_requests_have_the_same_key(sender: User, welcome: EmailTemplate) -> None:
    token = ApiToken.objects.issue(sender)

    def post(_: int) -> str:
        try:
            return json.dumps(upload(Client(), HTTP_AUTHORIZATION=f"Bearer {token}", HTTP_IDEMPOTENCY_KEY="k1"))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(100) as pool:
        answers = set(pool.map(post, range(100)))
    assert len(answers) == 1 and '"success": true' in answers.pop()
    assert Batch.objects.count() == EmailJob.objects.count() == 1


def test_key_is_refused_when_it_is_too_long(api: Client) -> None:
    status, answer = upload(api, HTTP_IDEMPOTENCY_KEY="k" * 256)
    assert status == 422 and "Idempotency-Key" in answer["detail"]


def test_batch_is_sent_when_recipients_are_posted(api: Client) -> None:
    status, answer = send_bulk(
        api,
        templateId="welcome_email",
        recipients=[{"email": "a@example.org", "name": "Ann"}, {"email": "b@example.org", "name": 7}],
    )
    job = EmailJob.objects.get()
    assert status == 202
    assert answer == {"success": True, "jobId": job.pk, "batchId": job.batch_id, "totalCount": 2}
    assert list(job.batch.emails.order_by("row").values_list("fields", flat=True)) == [["Ann"], ["7"]]


def test_batch_is_sent_when_recipients_are_plain_addresses(api: Client) -> None:
    EmailTemplate.objects.create(key="plain", name="Plain", subject="S", text="T")
    assert send_bulk(api, templateId="plain", recipients=["a@example.org"])[0] == 202


def test_job_is_scheduled_with_high_priority_when_the_request_says_so(api: Client) -> None:
    EmailTemplate.objects.create(key="plain", name="Plain", subject="S", text="T")
    status, _ = send_bulk(
        api, templateId="plain", recipients=["a@example.org"], scheduledAt="2100-01-01T12:00:00+02:00", priority="high"
    )
    job = EmailJob.objects.get()
    assert status == 202
    assert (job.status, job.priority) == (JobStatus.SCHEDULED, JobPriority.HIGH)
    assert job.scheduled_at and job.scheduled_at.isoformat() == "2100-01-01T10:00:00+00:00"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"recipients": ["a@example.org"], "scheduledAt": "2100-01-01T12:00:00"}, "scheduledAt"),
        ({"recipients": ["a@example.org"], "priority": "urgent"}, "priority"),
        ({"recipients": "a@example.org"}, "recipients"),
        ({"recipients": ["a@example.org"], "tempalteId": "x"}, "tempalteId"),
        ({}, "roleFilter"),
        ({"recipients": ["a@example.org"], "roleFilter": "g"}, "roleFilter"),
        ({"recipients": []}, "empty"),
    ],
)
def test_request_is_refused_when_a_field_is_wrong(api: Client, body: dict[str, object], field: str) -> None:
    status, answer = send_bulk(api, **body)
    assert status in (400, 422)
    assert field in answer["detail"] and answer["detail"].endswith((".", "?"))
    assert not Batch.objects.exists()


def test_batch_is_sent_to_a_group_when_the_sender_has_the_permission(api: Client, sender: User) -> None:
    group = Group.objects.create(name="PIONEER")
    EmailTemplate.objects.create(key="plain", name="Plain", subject="S", text="T")
    User.objects.create_user("m1", "m1@example.org").groups.add(group)
    User.objects.create_user("m2", "").groups.add(group)
    status, answer = send_bulk(api, templateId="plain", roleFilter="PIONEER")
    assert status == 403 and "You may not send to groups of users." in answer["detail"]

    permit(sender, Permission.SEND_TO_GROUP)
    status, answer = send_bulk(api, templateId="plain", roleFilter="PIONEER")
    assert (status, answer["totalCount"]) == (202, 1)


def test_known_groups_are_named_when_the_group_is_unknown(client: Client, staff: User, welcome: EmailTemplate) -> None:
    client.force_login(staff)
    Group.objects.create(name="PIONEER")
    status, answer = send_bulk(client, roleFilter="PIONEERS")
    assert status == 422 and "The groups are: " in answer["detail"] and "PIONEER," in answer["detail"]
