"""A name that a door does not know is refused, in body and address, with the known name that resembles it."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from batches.models import Batch, EmailJob
from tests.integration.test_api_sending import GOOD, api, send_bulk, upload

__all__ = ["api"]  # a fixture


@pytest.mark.parametrize(("name", "near"), [("scheduledAt", ""), ("shedule", "Did you mean 'scheduledAt'?")])
@pytest.mark.parametrize("door", ["upload", "send-bulk", "send"])
def test_option_in_the_address_is_refused(api: Client, door: str, name: str, near: str) -> None:
    draft = upload(api, draft="true")[1]["batchId"]
    query = f"?{name}=2030-01-01T09:00:00Z"
    if door == "upload":
        response = api.post(f"/api/upload{query}", {"file": SimpleUploadedFile("a.csv", GOOD)})
    else:
        path, body = {
            "send-bulk": ("/api/emails/send-bulk", {"recipients": ["ann@example.org"]}),
            "send": (f"/api/batches/{draft}/send", {}),
        }[door]
        response = api.post(f"{path}{query}", json.dumps(body), content_type="application/json")
    detail = response.json()["detail"]
    assert response.status_code == 422 and f"The address of the request has '{name}'." in detail and near in detail
    assert not EmailJob.objects.exists()


def test_every_unknown_field_of_a_body_is_named_with_the_nearest(api: Client) -> None:
    status, answer = send_bulk(api, recipients=["ann@example.org"], sheduledAt="x", zzz=1)
    assert (status, answer["detail"]) == (422, "There is no field 'sheduledAt'. Did you mean 'scheduledAt'?")
    assert [error["field"] for error in answer["errors"]] == ["sheduledAt", "zzz"]
    assert "These exist: isTest, name, priority, recipients," in answer["errors"][1]["message"]
    assert not Batch.objects.exists()


def test_form_that_has_a_file_alone_is_told_to_leave_a_field_out(api: Client) -> None:
    draft = upload(api, draft="true")[1]["batchId"]
    form = {"file": SimpleUploadedFile("a.csv", GOOD), "delimiter": ";"}
    response = api.post(f"/api/batches/{draft}/rows", form)
    assert (response.status_code, response.json()["detail"]) == (422, "There is no field 'delimiter'. Leave it out.")


@pytest.mark.parametrize("name", ["{sheduledAt}", "%s", "x" * 300])
def test_name_of_an_unknown_field_is_quoted_as_it_is(api: Client, name: str) -> None:
    status, answer = send_bulk(api, recipients=["ann@example.org"], **{name: 1})
    assert status == 422 and f"There is no field '{name}'." in answer["detail"]


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        *((digits, "Write a time such as") for digits in ("2027", "20270101", "1900000000", "1900000000.5", "-1")),
        ("9999-12-31T23:59:59-12:00", "more than a hundred years away"),
        ("2020-01-01T00:00:00Z", "has passed"),
        ("2030-01-01T09:00", "Add the time zone"),
    ],
)
def test_time_that_may_be_a_slip_is_refused(api: Client, value: str, advice: str) -> None:
    """Digits alone would be seconds since 1970, so the mail would go at once."""
    for status, answer in [upload(api, scheduledAt=value), send_bulk(api, recipients=["a@x.org"], scheduledAt=value)]:
        assert status == 422 and advice in answer["detail"]
    status, answer = send_bulk(api, recipients=["a@x.org"], scheduledAt=20270101)
    assert status == 422 and "Write a time such as" in answer["detail"]
    assert not Batch.objects.exists()


@pytest.mark.parametrize("name", ["scheduledAt", "subject", "draft", "file"])
def test_field_of_a_form_is_refused_when_it_comes_twice(api: Client, name: str) -> None:
    values = {
        "scheduledAt": ["2030-01-01T09:00:00Z", "2031-01-01T09:00:00Z"],
        "subject": ["Hello", "Hi"],
        "draft": ["true", "false"],
        "file": [SimpleUploadedFile("a.csv", GOOD), SimpleUploadedFile("b.csv", GOOD)],
    }[name]
    response = api.post("/api/upload", {"file": SimpleUploadedFile("a.csv", GOOD), name: values})
    assert response.status_code == 422
    assert response.json()["detail"] == f"The form has the field '{name}' 2 times. Send it once."
    assert not Batch.objects.exists()
