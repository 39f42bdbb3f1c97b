"""The name of a batch at the API, and the mark that it is a test."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from batches.models import EmailTemplate
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
