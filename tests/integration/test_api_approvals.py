"""The digest of a review and the approvals over the API."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from batches.models import Approval, ApprovalStatus, Batch, EmailJob, EmailTemplate
from tests.conftest import MakeUser

LIMIT = 2
FILE = b"email,name\n" + b"".join(b"p%d@example.org,P%d\n" % (number, number) for number in range(LIMIT + 1))


@pytest.fixture
def api(sender: User, welcome: EmailTemplate) -> Client:
    return signed_in(sender)


@pytest.fixture
def approving(make_user: MakeUser) -> Client:
    return signed_in(make_user("approver", "Approvers"))


@pytest.fixture
def limit(settings: LazySettings) -> None:
    settings.APPROVAL_ABOVE = LIMIT


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def post(client: Client, address: str, body: object = None, **headers: Any) -> tuple[int, dict[str, Any]]:
    answer = client.post(f"/api/{address}", json.dumps(body or {}), content_type="application/json", **headers)
    return answer.status_code, answer.json()


def upload(client: Client, **more: object) -> dict[str, Any]:
    answer = client.post("/api/upload", {"file": SimpleUploadedFile("list.csv", FILE), **more})
    assert answer.status_code == 202
    return dict(answer.json())


def review(client: Client, batch_id: int, **query: str) -> dict[str, Any]:
    answer = client.get(f"/api/batches/{batch_id}/review", query)
    assert answer.status_code == 200
    return dict(answer.json())


def test_send_is_refused_when_it_changed_since_the_review(api: Client) -> None:
    batch_id = upload(api, draft="true")["batchId"]
    seen = review(api, batch_id)["digest"]
    EmailTemplate.objects.update(text="Changed")
    status, answer = post(api, f"batches/{batch_id}/send", {"reviewed": seen})
    assert (status, answer["digest"]) == (409, review(api, batch_id)["digest"])
    assert answer["detail"] == "Something has changed since you reviewed it: the message. Look again, then send it."
    assert post(api, f"batches/{batch_id}/send", {"reviewed": answer["digest"]})[0] == 202


def test_digest_covers_what_the_send_will_be_given(api: Client) -> None:
    batch_id = upload(api, draft="true")["batchId"]
    at = (timezone.now() + timedelta(days=1)).isoformat()
    options = {"subject": "Hi {{ name }}", "scheduledAt": at, "priority": "high"}
    seen = review(api, batch_id, **options)["digest"]
    for changed in ({}, {"subject": "Other"}, {"priority": "default"}, {"scheduledAt": None}):
        if changed:
            assert post(api, f"batches/{batch_id}/send", options | changed | {"reviewed": seen})[0] == 409
    assert post(api, f"batches/{batch_id}/send", options | {"reviewed": seen})[0] == 202


@pytest.mark.parametrize("reviewed", ["", "x", "0" * 95, 7, "é" * 96])
def test_digest_that_is_none_is_invalid(reviewed: object, api: Client) -> None:
    batch_id = upload(api, draft="true")["batchId"]
    assert post(api, f"batches/{batch_id}/send", {"reviewed": reviewed})[0] == 422


def test_send_needs_no_review(api: Client) -> None:
    batch_id = upload(api, draft="true")["batchId"]
    status, answer = post(api, f"batches/{batch_id}/send")
    assert status == 202
    assert set(answer) == {"success", "jobId", "batchId", "totalCount"}


@pytest.mark.usefixtures("limit")
def test_second_person_approves_over_the_api(api: Client, approving: Client, sender: User) -> None:
    batch_id = upload(api, draft="true")["batchId"]
    status, sent = post(api, f"batches/{batch_id}/send", {"reviewed": review(api, batch_id)["digest"]})
    assert (status, sent["success"], sent["jobId"], sent["totalCount"]) == (202, True, None, 3)
    asked = sent["approval"]
    assert (asked["status"], asked["askedBy"], asked["templateId"]) == ("waiting", "sender", "welcome_email")
    assert api.get(f"/api/batches/{batch_id}").json()["waitingFor"].startswith("A second person must approve it")
    assert approving.get("/api/approvals").json()["items"] == [asked]

    assert post(approving, f"batches/{batch_id}/approve", {"digest": "0" * 96})[0] == 409
    status, approved = post(approving, f"batches/{batch_id}/approve", {"digest": asked["digest"]})
    job = EmailJob.objects.get()
    assert (status, approved["jobId"], job.created_by) == (202, job.pk, sender)
    answer = api.get(f"/api/batches/{batch_id}/approval").json()
    assert (answer["status"], answer["decidedBy"]) == ("approved", "approver")
    assert post(approving, f"batches/{batch_id}/approve", {"digest": asked["digest"]})[0] == 409


@pytest.mark.usefixtures("limit")
def test_asker_does_not_approve(api: Client, make_user: MakeUser) -> None:
    batch_id = upload(api, draft="true")["batchId"]
    digest = post(api, f"batches/{batch_id}/send")[1]["approval"]["digest"]
    assert post(api, f"batches/{batch_id}/approve", {"digest": digest})[0] == 403
    both = make_user("both", "Senders", "Approvers")
    own = signed_in(both)
    mine = upload(own, draft="true")["batchId"]
    digest = post(own, f"batches/{mine}/send")[1]["approval"]["digest"]
    status, answer = post(own, f"batches/{mine}/approve", {"digest": digest})
    assert (status, "Another user must approve it" in answer["detail"]) == (403, True)
    assert not EmailJob.objects.exists()


@pytest.mark.usefixtures("limit")
def test_stranger_learns_nothing_of_an_approval(api: Client, make_user: MakeUser) -> None:
    batch_id = upload(api, draft="true")["batchId"]
    digest = post(api, f"batches/{batch_id}/send")[1]["approval"]["digest"]
    other = signed_in(make_user("other", "Senders"))
    assert other.get(f"/api/batches/{batch_id}/approval").status_code == 404
    assert post(other, f"batches/{batch_id}/approve", {"digest": digest})[0] == 404
    assert post(other, f"batches/{batch_id}/refuse", {"reason": "x"})[0] == 404
    assert post(other, f"batches/{batch_id}/withdraw")[0] == 404
    assert other.get("/api/approvals").status_code == 403


@pytest.mark.usefixtures("limit")
def test_refusal_and_withdrawal_say_why(api: Client, approving: Client) -> None:
    batch_id = upload(api, draft="true")["batchId"]
    post(api, f"batches/{batch_id}/send")
    assert post(approving, f"batches/{batch_id}/refuse", {"reason": ""})[0] == 422
    assert post(approving, f"batches/{batch_id}/refuse", {"reason": "Wrong date."})[1]["reason"] == "Wrong date."
    post(api, f"batches/{batch_id}/send")
    status, answer = post(api, f"batches/{batch_id}/withdraw")
    assert (status, answer["status"], answer["reason"]) == (200, "void", "sender withdrew the request.")


@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize("door", ["upload", "send-bulk"])
def test_send_at_once_asks_once_when_the_request_comes_again(door: str, api: Client) -> None:
    def request() -> dict[str, Any]:
        if door == "upload":
            file = SimpleUploadedFile("list.csv", FILE)
            return dict(api.post("/api/upload", {"file": file}, headers={"Idempotency-Key": "k"}).json())
        recipients = [f"p{number}@example.org" for number in range(LIMIT + 1)]
        body = {"recipients": recipients, "templateId": "plain"}
        return post(api, "emails/send-bulk", body, headers={"Idempotency-Key": "k"})[1]

    EmailTemplate.objects.create(key="plain", name="Plain", subject="S", text="T")
    answers = [request(), request()]
    assert answers[0] == answers[1]
    assert answers[0]["jobId"] is None
    assert answers[0]["approval"]["status"] == "waiting"
    assert Approval.objects.count() == Batch.objects.count() == 1
    assert not EmailJob.objects.exists()


@pytest.mark.usefixtures("limit")
def test_approval_is_void_when_the_list_was_changed(api: Client, approving: Client) -> None:
    batch_id = upload(api, draft="true")["batchId"]
    digest = post(api, f"batches/{batch_id}/send")[1]["approval"]["digest"]
    api.post(
        f"/api/batches/{batch_id}/rows", {"file": SimpleUploadedFile("more.csv", b"email,name\nn@example.org,N\n")}
    )
    status, answer = post(approving, f"batches/{batch_id}/approve", {"digest": digest})
    assert (status, "the list" in answer["detail"]) == (409, True)
    assert Approval.objects.get().status == ApprovalStatus.VOID
    assert not EmailJob.objects.exists()
