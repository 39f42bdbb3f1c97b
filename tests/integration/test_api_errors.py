"""Who may use the API, and how it refuses."""

from __future__ import annotations

import json
from http import HTTPStatus

import pytest
import redis
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from batches import throttling
from batches.api.errors import SENTENCES
from batches.models import ApiToken, Batch, EmailTemplate
from tests.conftest import MakeBatch


def test_answer_is_401_with_a_sentence_when_nobody_is_logged_in(client: Client, db: None) -> None:
    response = client.get("/api/batches")
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert "Sign in" in response.json()["detail"]


def test_caller_is_accepted_when_the_token_is_right(client: Client, sender: User) -> None:
    token = ApiToken.objects.issue(sender)
    assert client.get("/api/batches", HTTP_AUTHORIZATION=f"Bearer {token}").status_code == 200
    assert client.get("/api/batches", HTTP_AUTHORIZATION=f"bearer  {token} ").status_code == 200


def test_session_does_not_help_when_the_token_is_wrong(client: Client, sender: User) -> None:
    client.force_login(sender)
    assert client.get("/api/batches", HTTP_AUTHORIZATION="Bearer wrong").status_code == 401


def test_caller_is_refused_when_the_user_is_deactivated(client: Client, sender: User) -> None:
    token = ApiToken.objects.issue(sender)
    client.force_login(sender)
    User.objects.update(is_active=False)
    assert client.get("/api/batches", HTTP_AUTHORIZATION=f"Bearer {token}").status_code == 401
    assert client.get("/api/batches").status_code == 401


def test_network_of_ipv6_is_one_address_when_wrong_tokens_are_counted(client: Client, db: None) -> None:
    """Each answer below the limit is an entry of the audit, and a stranger has 2 ** 64 addresses."""
    headers = {"Authorization": "Bearer wrong"}
    answers = [
        client.get("/api/batches", headers=headers, REMOTE_ADDR=f"2001:db8:0:99::{number:x}").status_code
        for number in range(throttling.FAILURES_A_MINUTE + 2)
    ]
    assert answers == [401] * throttling.FAILURES_A_MINUTE + [429] * 2


def test_answer_is_429_when_an_address_sends_too_many_wrong_tokens(client: Client, sender: User) -> None:
    redis.Redis.from_url(settings.REDIS_URL).delete("emailbatch:failures:10.9.8.7")
    wrong = {"HTTP_AUTHORIZATION": "Bearer wrong", "REMOTE_ADDR": "10.9.8.7"}
    for _ in range(throttling.FAILURES_A_MINUTE):
        assert client.get("/api/batches", **wrong).status_code == 401  # type: ignore[arg-type]
    response = client.get("/api/batches", **wrong)  # type: ignore[arg-type]
    assert response.status_code == 429 and int(response["Retry-After"]) > 0
    right = ApiToken.objects.issue(sender)
    assert client.get("/api/batches", HTTP_AUTHORIZATION=f"Bearer {right}", REMOTE_ADDR="10.9.8.7").status_code == 200


def test_answer_is_403_in_json_when_the_csrf_token_is_missing(sender: User, welcome: EmailTemplate) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(sender)
    response = client.post("/api/emails/send-bulk", "{}", content_type="application/json")
    assert response.status_code == 403 and "CSRF" in response.json()["detail"]
    assert client.get("/api/batches").status_code == 200

    token = "a" * 32
    client.cookies[settings.CSRF_COOKIE_NAME] = token
    body = '{"recipients": [{"email": "a@example.org", "name": "A"}]}'
    response = client.post("/api/emails/send-bulk", body, content_type="application/json", HTTP_X_CSRFTOKEN=token)
    assert response.status_code == 202 and Batch.objects.count() == 1


def test_no_csrf_token_is_needed_when_a_bearer_token_is_sent(sender: User, welcome: EmailTemplate) -> None:
    client = Client(enforce_csrf_checks=True)
    bearer = f"Bearer {ApiToken.objects.issue(sender)}"
    body = '{"recipients": [{"email": "a@example.org", "name": "A"}]}'
    response = client.post("/api/emails/send-bulk", body, content_type="application/json", HTTP_AUTHORIZATION=bearer)
    assert response.status_code == 202


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/nothing", 404),
        ("GET", "/api/batches/x", 404),
        ("DELETE", "/api/batches", 405),
        ("GET", "/api/upload", 405),
    ],
)
def test_answer_is_json_when_django_refuses(client: Client, sender: User, method: str, path: str, status: int) -> None:
    client.force_login(sender)
    response = client.generic(method, path)
    assert response.status_code == status
    assert response["Content-Type"] == "application/json"
    assert response.json()["detail"] == SENTENCES[HTTPStatus(status)].format(method=method, allow=response.get("Allow"))


@pytest.mark.parametrize(
    ("body", "content_type", "status", "words"),
    [
        (b"{", "application/json", 400, "not JSON"),
        (b"\xff", "application/json", 400, "not JSON"),
        (b"[]", "application/json", 422, "is invalid"),
        (b"recipients=a", "application/x-www-form-urlencoded", 415, "application/json"),
        (b"{}", "text/plain", 415, "text/plain"),
    ],
)
def test_fault_is_named_when_a_body_can_not_be_read(
    client: Client, sender: User, body: bytes, content_type: str, status: int, words: str
) -> None:
    client.force_login(sender)
    response = client.post("/api/emails/send-bulk", body, content_type=content_type)
    assert response.status_code == status
    assert words in response.json()["detail"]


def test_answer_is_413_when_a_json_body_is_too_long(client: Client, sender: User, settings) -> None:  # type: ignore[no-untyped-def]
    client.force_login(sender)
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    response = client.post("/api/emails/send-bulk", b'{"recipients": []}', content_type="application/json")
    assert response.status_code == 413 and "larger than the limit" in response.json()["detail"]


def test_answer_is_400_when_a_form_is_broken(client: Client, sender: User) -> None:
    client.force_login(sender)
    response = client.post("/api/upload", b"--x\r\nbroken", content_type="multipart/form-data; boundary=")
    assert response.status_code == 400 and response.json()["detail"].startswith("The request could not be read:")


def test_form_is_not_read_when_nobody_is_logged_in(client: Client, db: None) -> None:
    response = client.post("/api/upload", b"--x\r\nbroken", content_type="multipart/form-data; boundary=")
    assert response.status_code == 401


@pytest.mark.parametrize("path", ["/batches/{batch}/review/?template=%00", "/templates/preview/?key=a%00b"])
def test_page_is_400_when_its_address_has_a_nul(client: Client, make_batch: MakeBatch, sender: User, path: str) -> None:
    client.force_login(sender)
    batch = make_batch(pending=1)
    assert client.get(path.format(batch=batch.pk)).status_code == 400


@pytest.mark.parametrize(
    "path", ["/api/batches?cursor=%00", "/api/templates/%00/preview", "/api/upload/progress?key=%00"]
)
def test_api_fails_for_no_nul_in_its_address(client: Client, sender: User, path: str) -> None:
    client.force_login(sender)
    response = client.get(path)
    assert response.status_code in (200, 404, 405, 422) and response["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("field", ["templateId", "subject", "sender"])
def test_answer_is_422_and_nothing_is_made_when_a_text_has_a_nul(
    client: Client, sender: User, welcome: EmailTemplate, field: str
) -> None:
    client.force_login(sender)
    body = {"recipients": [{"email": "ann@example.org"}], "templateId": str(welcome.pk), field: "a\0b"}
    response = client.post("/api/emails/send-bulk", json.dumps(body), content_type="application/json")
    assert response.status_code == 422 and response.json()["detail"]
    assert not Batch.objects.exists()


def test_answer_is_422_when_a_recipient_has_a_nul(client: Client, sender: User, welcome: EmailTemplate) -> None:
    client.force_login(sender)
    body = {"recipients": [{"email": "ann@example.org", "name": "a\0b"}], "templateId": str(welcome.pk)}
    response = client.post("/api/emails/send-bulk", json.dumps(body), content_type="application/json")
    assert response.status_code == 400 and "Recipient 1: Cell 2 contains the control character U+0000." in str(
        response.json()["detail"]
    )


@pytest.mark.parametrize("body", ['{"priority":%s}' % ('{"a":' * 900 + "1" + "}" * 900), "[]", '"text"'])
def test_answer_names_no_field_when_the_whole_body_is_wrong(client: Client, sender: User, body: str) -> None:
    client.force_login(sender)
    response = client.post("/api/emails/send-bulk", body, content_type="application/json")
    assert response.status_code == 422
    assert response.json()["detail"].startswith("The request is invalid. ")
