"""The name of a batch at the API, and the mark that it is a test."""

from __future__ import annotations

import json

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client

from batches.models import Batch, EmailTemplate
from tests.integration.test_api_sending import send_bulk, upload


@pytest.fixture
def api(client: Client, sender: User, welcome: EmailTemplate) -> Client:
    client.force_login(sender)
    return client


def test_batch_has_the_name_when_a_request_gives_one(api: Client, welcome: EmailTemplate) -> None:
    upload(api, draft="true", name="Parents")
    send_bulk(api, recipients=[{"email": "a@example.org", "name": "A"}], name="Helpers", isTest=True)
    found = api.get("/api/batches", {"tests": "with"}).json()["items"]
    assert [(each["name"], each["isTest"]) for each in found] == [("Helpers", True), ("Parents", False)]


@pytest.mark.parametrize(("tests", "names"), [("without", ["Real"]), ("only", ["Trial"]), ("with", ["Trial", "Real"])])
def test_list_has_the_tests_when_they_are_asked_for(api: Client, tests: str, names: list[str]) -> None:
    for name, is_test in (("Real", False), ("Trial", True)):
        send_bulk(api, recipients=[{"email": "a@example.org", "name": "A"}], name=name, isTest=is_test)
    found = api.get("/api/batches", {"tests": tests}).json()["items"]
    assert [each["name"] for each in found] == names


def test_request_is_another_one_when_only_its_name_differs(api: Client) -> None:
    answers = [upload(api, HTTP_IDEMPOTENCY_KEY="k", draft="true", name=name)[0] for name in ("A", "A", "B")]
    assert answers == [202, 202, 409]


def test_draft_gets_the_name_when_it_is_sent(api: Client, settings: LazySettings) -> None:
    settings.APPROVAL_ABOVE = 1
    for recipients, status in ((1, "pending"), (2, "draft")):
        lines = "".join(f"a{number}@example.org,A\n" for number in range(recipients))
        batch_id = upload(api, f"email,name\n{lines}".encode(), draft="true", name="Draft")[1]["batchId"]

        def send(**body: str) -> int:
            path = f"/api/batches/{batch_id}/send"  # noqa: B023  (called in this turn alone)
            return api.post(path, json.dumps(body), content_type="application/json").status_code

        assert send(name="x" * 201) == 422
        assert send(name="No", templateId="none") == 422
        assert Batch.objects.get(pk=batch_id).name == "Draft"
        assert send(name="Parents") == 202
        batch = Batch.objects.get(pk=batch_id)
        assert (batch.name, batch.status) == ("Parents", status)
