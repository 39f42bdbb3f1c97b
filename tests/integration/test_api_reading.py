"""Batches, emails, jobs, templates, health and metrics over the API."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.test import Client

from batches import intake
from batches.exports import export
from batches.jobs import creation, lifecycle
from batches.models import Batch, BatchStatus, Email, EmailJob, EmailStatus, EmailTemplate, JobStatus, Lane
from batches.permissions import Permission
from batches.translations import say
from batches.waiting import NO_WORKER
from tests.conftest import permit

DEFAULT_SENDER_OUT = {"key": "default", "from": "webmaster@localhost", "replyTo": ""}


@pytest.fixture
def api(client: Client, sender: User) -> Client:
    client.force_login(sender)
    return client


def make_batch(user: User, count: int = 3) -> Batch:
    recipients = [{"email": f"p{number}@example.org", "name": f"P{number}"} for number in range(1, count + 1)]
    return intake.import_list(recipients, user=user).batch


def test_newest_batch_is_first_when_batches_are_listed_in_pages(api: Client, sender: User) -> None:
    made = [make_batch(sender, 1).pk for _ in range(5)]
    first = api.get("/api/batches?limit=2").json()
    assert api.get("/api/batches?limit=2&cursor=").json() == first
    second = api.get(f"/api/batches?limit=2&cursor={first['next']}").json()
    third = api.get(f"/api/batches?limit=2&cursor={second['next']}").json()
    assert [item["id"] for page in (first, second, third) for item in page["items"]] == made[::-1]
    assert third["next"] is None


def test_batch_has_the_fields_of_the_contract_when_it_is_read(
    api: Client, sender: User, welcome: EmailTemplate
) -> None:
    batch = make_batch(sender)
    job = creation.create_job(batch, template=welcome, user=sender)
    Lane.objects.filter(job=job, number=0).update(sent_count=2, failed_count=1)
    answer = api.get(f"/api/batches/{batch.pk}").json()
    created_at = answer.pop("createdAt")
    assert answer == {
        "id": batch.pk,
        "filename": batch.filename,
        "name": "",
        "isTest": False,
        "source": "list",
        "status": "pending",
        "totalEmails": 3,
        "processedCount": 3,
        "sentCount": 2,
        "failedCount": 1,
        "unknownCount": 0,
        "suppressedCount": 0,
        "cancelledCount": 0,
        "pendingCount": 0,
        "resendingCount": 0,
        "returnedCount": 0,
        "complainedCount": 0,
        "waitingFor": say(NO_WORKER),
        "moments": [],
        "doneAt": None,
        "rejectedRows": 0,
        "duplicateRows": 0,
        "sharedAddresses": "first",
        "completedAt": None,
        "purgedAt": None,
        "jobId": job.pk,
        "sender": DEFAULT_SENDER_OUT,
        "topic": "service",
        "suppressedReasons": None,
    }
    assert datetime.fromisoformat(created_at).tzinfo is not None


PATHS = ["", "/stream", "/emails", "/results.csv", "/rejected.csv", "/results.xlsx", "/rejected.xlsx"]
ACTIONS = ["send", "pause", "resume", "cancel", "replay"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", PATHS)
def test_answer_is_404_when_the_batch_is_another_users(api: Client, staff: User, path: str) -> None:
    batch = make_batch(staff, 1)
    theirs, absent = (api.get(f"/api/batches/{number}{path}") for number in (batch.pk, 999_999_999_999))
    assert theirs.status_code == absent.status_code == 404
    assert str(batch.pk) in theirs.json()["detail"]


@pytest.mark.parametrize("action", ACTIONS)
def test_nothing_happens_when_the_batch_is_another_users(
    api: Client, staff: User, welcome: EmailTemplate, action: str
) -> None:
    batch = make_batch(staff, 1)
    body = {"which": "all"} if action == "replay" else {}
    response = api.post(f"/api/batches/{batch.pk}/{action}", json.dumps(body), content_type="application/json")
    assert response.status_code == 404
    assert Batch.objects.get().status == BatchStatus.DRAFT


def test_every_batch_is_listed_when_the_caller_is_a_superuser(client: Client, staff: User, sender: User) -> None:
    client.force_login(staff)
    batch = make_batch(sender, 1)
    assert [item["id"] for item in client.get("/api/batches").json()["items"]] == [batch.pk]


def test_emails_are_in_the_order_of_the_file_when_they_are_listed_in_pages(
    api: Client, sender: User, welcome: EmailTemplate
) -> None:
    batch = make_batch(sender, 5)
    job = creation.create_job(batch, template=welcome, user=sender)
    sent = Email.objects.get(row=2)
    when = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    Email.objects.filter(pk=sent.pk).update(
        status=EmailStatus.SENT, lane=job.lanes.first(), attempts=1, code=250, reply="OK", completed_at=when
    )
    Email.objects.filter(row=3).update(attempts=1, code=451, next_attempt_at=when)
    first = api.get(f"/api/batches/{batch.pk}/emails?limit=3").json()
    rest = api.get(f"/api/batches/{batch.pk}/emails?limit=3&cursor={first['next']}").json()
    assert [item["row"] for item in first["items"] + rest["items"]] == [1, 2, 3, 4, 5]
    assert rest["next"] is None
    one = first["items"][1]
    assert one.pop("messageId").endswith("@localhost>")
    assert one == {
        "row": 2,
        "line": 2,
        "address": "p2@example.org",
        "status": "sent",
        "attempts": 1,
        "code": 250,
        "reply": "OK",
        "sentAt": "2030-01-02T03:04:05Z",
        "jobId": None,
        "resending": False,
        "returned": None,
        "returnedAt": None,
        "returnedText": "",
        "returns": [],
        "history": [],
        "nextAttemptAt": None,
    }
    waiting, _, deferred = first["items"]
    assert (waiting["messageId"], waiting["sentAt"], waiting["nextAttemptAt"]) == (None, None, None)
    assert deferred["nextAttemptAt"] == "2030-01-02T03:04:05Z"


def test_only_emails_with_a_status_are_listed_when_the_query_names_it(api: Client, sender: User) -> None:
    batch = make_batch(sender, 3)
    Email.objects.filter(row=2).update(status=EmailStatus.FAILED)
    Batch.objects.filter(pk=batch.pk).update(failed_count=1)
    answer = api.get(f"/api/batches/{batch.pk}/emails?status=failed").json()
    assert [item["row"] for item in answer["items"]] == [2]


def test_first_attempt_is_shown_as_sending_when_it_is_in_flight(
    api: Client, sender: User, welcome: EmailTemplate
) -> None:
    batch = make_batch(sender, 4)
    job = creation.create_job(batch, template=welcome, user=sender)
    rows = list(Email.objects.filter(batch=batch).order_by("row").values_list("row", flat=True))
    Email.objects.filter(batch=batch, row=rows[0]).update(status=EmailStatus.SENT)
    Email.objects.filter(batch=batch, row=rows[1]).update(next_attempt_at=datetime(2030, 1, 2, tzinfo=UTC), attempts=1)
    job.lanes.update(claimed_rows=rows[:3], sent_count=1)  # the decisions on the first two are recorded
    answers = {
        status: api.get(f"/api/batches/{batch.pk}/emails?status={status}").json()["items"]
        for status in ("sent", "pending", "sending")
    }
    assert {status: [item["row"] for item in items] for status, items in answers.items()} == {
        "sent": [rows[0]],
        "pending": [rows[1], rows[3]],
        "sending": [rows[2]],
    }
    assert answers["sending"][0]["status"] == "sending"
    assert answers["sending"][0]["messageId"].endswith("@localhost>")
    results = b"".join(export.results_csv(batch)).decode().splitlines()
    assert [line.split(",")[2] for line in results[1:]] == ["sent", "pending", "sending", "pending"]
    page = api.get(f"/batches/{batch.pk}/?status=sending").content.decode()
    assert page.count('data-status="sending">Sending<') == 1
    assert "p3@example.org" in page


@pytest.mark.parametrize("query", ["?limit=0", "?limit=501", "?limit=x", "?cursor=x", "?cursor=-1", "?cursor=²"])
def test_answer_is_422_when_the_page_options_are_invalid(api: Client, query: str) -> None:
    response = api.get(f"/api/batches{query}")
    name = query.removeprefix("?").partition("=")[0]
    assert response.status_code == 422 and name in response.json()["detail"]


def test_answer_is_422_when_the_status_is_unknown(api: Client, sender: User) -> None:
    response = api.get(f"/api/batches/{make_batch(sender, 1).pk}/emails?status=gone")
    assert response.status_code == 422 and "status" in response.json()["detail"]


def test_draft_is_sent_once_when_send_is_posted_twice(api: Client, sender: User, welcome: EmailTemplate) -> None:
    batch = make_batch(sender)
    first = api.post(f"/api/batches/{batch.pk}/send", "", content_type="application/json")
    second = api.post(f"/api/batches/{batch.pk}/send", "{}", content_type="application/json")
    job = EmailJob.objects.get()
    assert first.status_code == 202
    assert first.json() == {"success": True, "jobId": job.pk, "batchId": batch.pk, "totalCount": 3}
    assert second.status_code == 409 and "replay" in second.json()["detail"]


def test_batch_is_paused_resumed_and_cancelled_when_the_action_is_posted(
    api: Client, sender: User, welcome: EmailTemplate
) -> None:
    batch = make_batch(sender)
    assert api.post(f"/api/batches/{batch.pk}/pause").status_code == 409
    creation.create_job(batch, template=welcome, user=sender)
    for action, status in (("pause", "paused"), ("resume", "pending"), ("cancel", "cancelled")):
        response = api.post(f"/api/batches/{batch.pk}/{action}")
        assert (response.status_code, response.json()) == (
            200,
            {"success": True, "batchId": batch.pk, "status": status},
        )


def test_failed_emails_are_queued_again_when_replay_is_posted(
    api: Client, sender: User, welcome: EmailTemplate
) -> None:
    batch = make_batch(sender)
    creation.create_job(batch, template=welcome, user=sender)
    Email.objects.filter(batch=batch).update(status=EmailStatus.SENT)
    Email.objects.filter(batch=batch, row=1).update(status=EmailStatus.FAILED)
    lifecycle.finish_job(EmailJob.objects.get().pk)
    response = api.post(f"/api/batches/{batch.pk}/replay", '{"which": "failed"}', content_type="application/json")
    assert (response.status_code, response.json()["totalCount"]) == (202, 1)
    again = api.post(f"/api/batches/{batch.pk}/replay", '{"which": "unknown"}', content_type="application/json")
    assert again.status_code == 409
    wrong = api.post(f"/api/batches/{batch.pk}/replay", '{"which": "some"}', content_type="application/json")
    assert wrong.status_code == 422


def test_job_has_the_fields_of_the_contract_when_it_is_read(api: Client, sender: User, welcome: EmailTemplate) -> None:
    batch = make_batch(sender)
    job = creation.create_job(batch, template=welcome, user=sender, subject="Mine")
    Lane.objects.filter(job=job, number=0).update(sent_count=2)
    answer = api.get(f"/api/jobs/{job.pk}").json()
    assert datetime.fromisoformat(answer.pop("createdAt")).tzinfo is not None
    assert answer == {
        "id": job.pk,
        "batchId": batch.pk,
        "status": JobStatus.QUEUED.upper(),
        "templateId": "welcome_email",
        "subject": "Mine",
        "sender": DEFAULT_SENDER_OUT,
        "topic": "service",
        "totalCount": 3,
        "sentCount": 2,
        "failedCount": 0,
        "createdById": sender.pk,
        "startedAt": None,
        "completedAt": None,
        "lastError": "",
    }


def test_answer_is_404_when_the_job_is_another_users(api: Client, staff: User, welcome: EmailTemplate) -> None:
    job = creation.create_job(make_batch(staff), template=welcome, user=staff)
    assert api.get(f"/api/jobs/{job.pk}").status_code == 404


def test_merge_fields_are_named_when_templates_are_listed(api: Client, welcome: EmailTemplate) -> None:
    answer = api.get("/api/templates").json()
    assert answer["next"] is None
    assert [(item["key"], item["mergeFields"], item["isDefault"]) for item in answer["items"]] == [
        ("welcome_email", ["name"], True)
    ]


def test_template_is_listed_when_it_does_not_compile(api: Client) -> None:
    EmailTemplate.objects.create(key="bad", name="Bad", subject="{{", text="T")
    assert [item["mergeFields"] for item in api.get("/api/templates").json()["items"]] == [[]]


def test_message_is_rendered_when_a_preview_is_posted(api: Client, sender: User, welcome: EmailTemplate) -> None:
    def preview(**body: object) -> dict[str, str]:
        url = "/api/templates/welcome_email/preview"
        answer: dict[str, str] = api.post(url, json.dumps(body), content_type="application/json").json()
        return answer

    batch = make_batch(sender)
    assert preview(fields={"name": "A<b"}) == {
        "subject": "Hello A<b", "html": "<p>Dear A&lt;b</p>", "text": "Dear A<b"
    }  # fmt: skip
    assert preview(batchId=batch.pk, row=2)["text"] == "Dear P2"
    assert preview(batchId=batch.pk, subject="{{ email }}")["subject"] == "p1@example.org"
    assert "name" in preview()["detail"]
    assert "no recipient" in preview(batchId=batch.pk, row=99)["detail"]


def test_answer_is_404_when_the_previewed_batch_is_another_users(
    api: Client, staff: User, welcome: EmailTemplate
) -> None:
    body = json.dumps({"batchId": make_batch(staff).pk})
    response = api.post("/api/templates/welcome_email/preview", body, content_type="application/json")
    assert response.status_code == 404


def test_health_is_readable_without_a_login_when_services_answer(client: Client, db: None) -> None:
    response = client.get("/api/health")
    answer = response.json()
    assert response.status_code == 200
    assert set(answer) == {"status", "database", "redis", "workers", "queued"}
    assert (answer["status"], answer["database"], answer["redis"]) == ("ok", True, True)


def test_docs_describe_every_address_when_they_are_read(api: Client) -> None:
    paths = api.get("/api/openapi.json").json()["paths"]
    assert {path.replace("{int:", "{").replace("{slug:", "{") for path in paths} == {
        *("/api/health", "/api/upload", "/api/emails/send-bulk", "/api/batches", "/api/batches/{batch_id}"),
        *(f"/api/batches/{{batch_id}}{path}" for path in PATHS[1:]),
        *(f"/api/batches/{{batch_id}}/{action}" for action in ACTIONS),
        *("/api/upload/progress", "/api/batches/{batch_id}/rows", "/api/batches/{batch_id}/discard"),
        *(f"/api/batches/{{batch_id}}/{what}" for what in ("review", "fields", "reread", "letters", "failures")),
        *("/api/jobs/{job_id}", "/api/templates", "/api/templates/{key}/preview", "/api/senders"),
        *(f"/api/batches/{{batch_id}}/{what}" for what in ("approval", "approve", "refuse", "withdraw")),
        *("/api/approvals", "/api/audit", "/api/audit.csv", "/api/templates/{key}", "/api/templates/{key}/versions"),
        *("/api/suppressions", "/api/suppressions.csv", "/api/suppressions/import", "/api/topics"),
        *("/api/people", "/api/people/{person_id}/emails"),
    }
    assert api.get("/api/docs").status_code == 200
    summaries = [each["summary"] for methods in paths.values() for each in methods.values()]
    assert paths["/api/topics"]["get"]["summary"] == "All topics by name"
    assert len(set(summaries)) == len(summaries) and not any(summary.istitle() for summary in summaries)
    assert paths["/api/batches"]["get"]["description"].startswith("With the permission to see")


def test_names_of_generated_clients_are_those_of_the_first_version(api: Client) -> None:
    schema = api.get("/api/openapi.json").json()
    assert set(schema["components"]["securitySchemes"]) == {"BearerToken", "Session"}
    assert "LoadingOut" in schema["components"]["schemas"]
    progress = schema["paths"]["/api/upload/progress"]["get"]
    assert progress["operationId"] == "batches_api_sending_get_loading"


def test_gauges_count_live_emails_when_metrics_are_read(client: Client, staff: User, welcome: EmailTemplate) -> None:
    client.force_login(staff)
    job = creation.create_job(make_batch(staff), template=welcome, user=staff)
    Lane.objects.filter(job=job, number=0).update(sent_count=2)
    test = make_batch(staff)
    Batch.objects.filter(pk=test.pk).update(is_test=True)
    creation.create_job(test, template=welcome, user=staff)
    lines = client.get("/metrics").content.decode().splitlines()
    assert 'emailbatch_emails{status="sent",test="false"} 2' in lines
    assert 'emailbatch_emails{status="pending",test="false"} 1' in lines
    assert 'emailbatch_emails{status="pending",test="true"} 3' in lines
    assert 'emailbatch_jobs{status="queued",test="false"} 1' in lines
    assert 'emailbatch_jobs{status="queued",test="true"} 1' in lines
    assert 'emailbatch_jobs{status="paused",test="true"} 0' in lines
    assert "emailbatch_redis_up 1" in lines


def test_metrics_are_refused_without_the_permission(client: Client, sender: User) -> None:
    assert client.get("/metrics").status_code == 401
    sender.is_staff = True
    sender.save()
    client.force_login(sender)
    assert client.get("/metrics").status_code == 403
    permit(sender, Permission.VIEW_ALL_BATCHES)
    assert client.get("/metrics").status_code == 200
