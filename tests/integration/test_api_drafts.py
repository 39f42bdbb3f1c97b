"""A program reviews, corrects, sends and discards a draft over the API alone."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.db import connection
from django.test import Client
from django.utils import timezone

from batches import intake
from batches.exports import export
from batches.intake.import_progress import ImportProgress
from batches.models import Batch, BatchStatus, Email, EmailJob, EmailTemplate, JobStatus, RejectedRow, UploadChunk
from tests.conftest import MakeBatch, MakeJob

LIST = "Name;E-Mail\nZoë;zoe@example.org\nNed;ned@@example\nMia;mia@example.org\n".encode("cp1252")


@pytest.fixture
def api(client: Client, sender: User, welcome: EmailTemplate) -> Client:
    client.force_login(sender)
    return client


def upload(api: Client, content: bytes = LIST, **more: object) -> int:
    response = api.post("/api/upload", {"file": SimpleUploadedFile("list.csv", content), "draft": "true", **more})
    assert response.status_code == 202
    return int(response.json()["batchId"])


def test_draft_is_corrected_and_sent_when_a_program_does_every_step(api: Client) -> None:
    batch_id = upload(api)
    rejected = b"".join(export.rejected_csv(Batch.objects.get()))  # test_api_exports tests the address
    assert b"Ned,ned@@example,3," in rejected
    corrected = SimpleUploadedFile("rejected.csv", rejected.replace(b"ned@@example", b"ned@example.org"))
    response = api.post(f"/api/batches/{batch_id}/rows", {"file": corrected})
    assert response.json() == {
        "success": True,
        "batchId": batch_id,
        "addedEmails": 1,
        "totalEmails": 3,
        "rejectedRows": 0,
        "duplicateRows": 0,
    }
    assert not EmailJob.objects.exists()

    response = api.post(f"/api/batches/{batch_id}/send", json.dumps({"subject": "Hi"}), content_type="application/json")
    assert (response.status_code, response.json()["totalCount"]) == (202, 3)
    assert Batch.objects.get().status == BatchStatus.PENDING
    response = api.post(f"/api/batches/{batch_id}/rows", {"file": SimpleUploadedFile("more.csv", LIST)})
    assert response.status_code == 409 and "was sent" in response.json()["detail"]


def test_rows_are_duplicates_when_they_are_added_twice(api: Client) -> None:
    batch_id = upload(api)
    for added in (1, 0):
        more = SimpleUploadedFile("more.csv", b"name,e-mail\nAda,ada@example.org\n")
        assert api.post(f"/api/batches/{batch_id}/rows", {"file": more}).json()["addedEmails"] == added
    assert Batch.objects.get().total_count == 3


def test_file_is_read_as_said_when_encoding_and_delimiter_are_given(api: Client) -> None:
    upload(api, encoding="cp1251", delimiter=";")
    assert Batch.objects.get().encoding == "cp1251"
    assert Email.objects.order_by("row").values_list("fields", flat=True)[0] == ["Zoл"]
    more = {"file": SimpleUploadedFile("list.csv", LIST), "draft": "true", "encoding": "klingon"}
    assert api.post("/api/upload", more).status_code == 400


FAMILY = (
    b"Child,Mother,Father\n"
    b"Eva,ann@example.org,bo@example.org\nTom,ann@example.org,\nLea,cy@example.org,dan@example.org\n"
)


def addresses_of(batch_id: int) -> list[str]:
    return list(Email.objects.filter(batch_id=batch_id).order_by("row").values_list("address", flat=True))


@pytest.mark.parametrize("columns", ["1,2", ["1", "2"]])
def test_upload_is_read_as_said_when_header_columns_and_shared_addresses_are_given(
    columns: object, api: Client
) -> None:
    batch_id = upload(
        api, b"Parents of 4b\n" + FAMILY, headerRow="2", addressColumns=columns, sharedAddresses="each", sheet=""
    )
    assert addresses_of(batch_id) == [f"{name}@example.org" for name in ("ann", "bo", "ann", "cy", "dan")]
    lines = [item["line"] for item in api.get(f"/api/batches/{batch_id}/emails").json()["items"]]
    assert lines == [3, 3, 4, 5, 5]
    review = api.get(f"/api/batches/{batch_id}/review").json()
    assert (review["addressColumns"], review["sharedAddresses"]) == ([1, 2], "each")
    assert review["reading"]["headerLine"] == 2
    assert review["reading"]["chosen"] == {"headerRow": 2, "addressColumns": [1, 2]}


def test_choice_is_kept_when_another_is_made_and_found_again_when_it_is_null(api: Client) -> None:
    batch_id = upload(api, b"Parents of 4b\n" + FAMILY)
    post(api, f"/api/batches/{batch_id}/reread", addressColumn=2)
    post(api, f"/api/batches/{batch_id}/reread", headerRow=2)
    review = post(api, f"/api/batches/{batch_id}/reread", sharedAddresses="each").json()
    assert review["reading"]["chosen"] == {"addressColumns": [2], "headerRow": 2}
    assert addresses_of(batch_id) == ["bo@example.org", "dan@example.org"]
    review = post(api, f"/api/batches/{batch_id}/reread", addressColumn=None).json()
    assert (review["addressColumn"], review["sharedAddresses"]) == (1, "each")
    assert addresses_of(batch_id) == ["ann@example.org", "ann@example.org", "cy@example.org"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"headerRow": "first"}, "The field 'headerRow' is invalid. Write a whole number such as 4."),
        ({"headerRow": -1}, "The field 'headerRow' is invalid. Write a number that is at least 0."),
        ({"headerRow": 10**12}, "The field 'headerRow' is invalid. Write a number that is at most 2147483647."),
        ({"addressColumns": []}, "The field 'addressColumns' is invalid. Write at least 1, or leave the field out."),
        ({"addressColumns": [1, 1]}, "A column is named twice. Name each column once."),
        ({"addressColumns": [-1]}, "The field 'addressColumns.0' is invalid"),
        ({"addressColumns": [1], "addressColumn": 1}, "Send 'addressColumns' alone."),
        ({"headerRow": 1, "hasHeader": True}, "Send 'headerRow' alone."),
        ({"sharedAddresses": "all"}, "'first', 'each' or 'together'"),
        ({"hiddenRows": "perhaps"}, "The field 'hiddenRows' is invalid. Write true or false."),
        ({"hederRow": 1}, "There is no field 'hederRow'. Did you mean 'headerRow'?"),
    ],
)
def test_sentence_names_the_option_that_cannot_be(body: dict[str, Any], sentence: str, api: Client) -> None:
    batch_id = upload(api, FAMILY)
    response = post(api, f"/api/batches/{batch_id}/reread", **body)
    assert response.status_code == 422
    assert sentence in response.json()["detail"]


def test_upload_is_refused_and_leaves_nothing_when_an_option_cannot_be(api: Client) -> None:
    for name, value in (("headerRow", "first"), ("addressColumns", "1,x"), ("sharedAddresses", "all")):
        more = {"file": SimpleUploadedFile("list.csv", FAMILY), "draft": "true", name: value}
        response = api.post("/api/upload", more)
        assert response.status_code == 422 and name in response.json()["detail"]
    assert not Batch.objects.exists()


def test_recipients_with_one_address_get_one_mail_each_when_the_request_says_so(api: Client) -> None:
    recipients = [{"email": "ann@example.org", "name": name} for name in ("Eva", "Tom")]
    for shared, count in ((None, 1), ("first", 1), ("each", 2), ("together", 1)):
        more = {"sharedAddresses": shared} if shared else {}
        response = post(api, "/api/emails/send-bulk", recipients=recipients, **more)
        assert (response.status_code, response.json()["totalCount"]) == (202, count)


CODES = b"Name;E-Mail;Sign-up code\nZo\xeb;zoe@example.org;007\nKofi;kofi@example.org;\nNed;ned@@example;8\n"


def post(api: Client, address: str, **body: object) -> Any:
    return api.post(address, json.dumps(body), content_type="application/json")


def test_review_names_missing_and_blank_fields_and_an_earlier_sending(api: Client, make_job: MakeJob) -> None:
    EmailTemplate.objects.create(key="codes", name="Codes", subject="{{ name }}", text="{{ code }}")
    make_job(Batch.objects.get(pk=upload(api, CODES)), JobStatus.QUEUED)
    batch_id = upload(api, CODES)
    found = api.get(f"/api/batches/{batch_id}/review?templateId=codes").json()
    assert found.pop("durationSeconds") > 0 and found.pop("sameContentSentAt") is not None
    assert datetime.fromisoformat(found.pop("doneAt")) > timezone.now() - timedelta(minutes=1)
    assert found.pop("reading")["sheets"] == []
    assert re.fullmatch("[0-9a-f]{96}", found.pop("digest"))
    assert found == {
        **{"batchId": batch_id, "templateId": "codes", "topic": "service"},
        "sender": {"key": "default", "from": "webmaster@localhost", "replyTo": ""},
        **{"totalEmails": 2, "suppressedEmails": 0, "suppressedReasons": {}},
        **{"rejectedRows": 1, "duplicateRows": 0, "smtputf8Emails": 0},
        **{"encoding": "cp1252", "delimiter": ";", "hasHeader": True},
        **{"columns": ["Name", "E-Mail", "Sign-up code"], "addressColumn": 1, "mergeFields": ["name", "sign_up_code"]},
        **{"addressColumns": [1], "sharedAddresses": "first"},
        "firstRows": [
            {"row": 2, "line": 2, "address": "zoe@example.org", "fields": {"name": "Zoë", "sign_up_code": "007"}},
            {"row": 3, "line": 3, "address": "kofi@example.org", "fields": {"name": "Kofi", "sign_up_code": ""}},
        ],
        **{"missingFields": ["code"], "nearFields": {"code": []}, "foreignTags": [], "blankCounts": {}},
    }
    renamed = post(api, f"/api/batches/{batch_id}/fields?templateId=codes", names={"sign_up_code": "code"}).json()
    assert (renamed["missingFields"], renamed["blankCounts"]) == ([], {"code": 1})
    reread = post(api, f"/api/batches/{batch_id}/reread?templateId=codes", encoding="cp1251", delimiter=";").json()
    assert (reread["encoding"], reread["firstRows"][0]["fields"]) == ("cp1251", {"name": "Zoл", "code": "007"})


def test_review_is_refused_when_there_is_nothing_to_review(api: Client, staff: User, make_batch: MakeBatch) -> None:
    sent, anothers = make_batch(BatchStatus.COMPLETED, sent=1), make_batch(owner=staff, pending=1)
    assert api.get(f"/api/batches/{sent.pk}/review").status_code == 409
    assert api.get(f"/api/batches/{anothers.pk}/review").status_code == 404
    batch_id = upload(api)
    assert api.get(f"/api/batches/{batch_id}/review?templateId=nope").status_code == 422
    EmailTemplate.objects.update(subject="{{ name")
    assert api.get(f"/api/batches/{batch_id}/review").status_code == 422
    for what, body in (("fields", {"names": {"nope": "x"}}), ("reread", {"encoding": "klingon"})):
        assert post(api, f"/api/batches/{batch_id}/{what}", **body).status_code == 400
        assert post(api, f"/api/batches/{anothers.pk}/{what}", **body).status_code == 404
        assert post(api, f"/api/batches/{sent.pk}/{what}", **body).status_code == 409
    assert list(Email.objects.filter(batch_id=batch_id).values_list("row", flat=True).order_by("row")) == [2, 4]


def test_nothing_is_left_when_a_draft_is_discarded(api: Client) -> None:
    batch_id = upload(api)
    assert api.post(f"/api/batches/{batch_id}/discard").status_code == 204
    for model in (Batch, Email, RejectedRow, UploadChunk):
        assert not model.objects.exists()
    assert api.post(f"/api/batches/{batch_id}/discard").status_code == 404


def test_batch_stays_when_it_was_sent_or_is_anothers(api: Client, staff: User, make_batch: MakeBatch) -> None:
    sent, anothers = make_batch(BatchStatus.COMPLETED, sent=1), make_batch(owner=staff, pending=1)
    assert api.post(f"/api/batches/{sent.pk}/discard").status_code == 409
    assert api.post(f"/api/batches/{anothers.pk}/discard").status_code == 404
    more = {"file": SimpleUploadedFile("more.csv", LIST)}
    assert api.post(f"/api/batches/{anothers.pk}/rows", more).status_code == 404
    assert Email.objects.count() == 2


def test_answer_is_507_when_the_databases_disk_is_full(api: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """CREATE FUNCTION pg_temp.full_disk() RETURNS trigger LANGUAGE plpgsql AS
               $$BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END$$"""
        )
        cursor.execute(
            """CREATE TRIGGER full_disk BEFORE INSERT ON batches_email
               FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.full_disk()"""
        )
    response = api.post("/api/upload", {"file": SimpleUploadedFile("list.csv", LIST)})
    assert response.status_code == 507 and "disk is full" in response.json()["detail"]
    page = api.post(
        "/", {"file": SimpleUploadedFile("list.csv", LIST), "template": "welcome_email", "then": "send", "key": "k"}
    )
    assert page.status_code == 507 and "disk is full" in page.content.decode()
    for model in (Batch, Email, RejectedRow, UploadChunk):
        assert not model.objects.exists()


class FullDisk(FileUploadHandler):
    """Writes an upload to a disk that has no room: to the kernel's own."""

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        with Path("/dev/full").open("wb", buffering=0) as full:
            full.write(raw_data)

    def file_complete(self, file_size: int) -> None:
        """Never reached."""


def test_answer_is_507_when_the_disk_of_uploads_is_full(api: Client, settings) -> None:  # type: ignore[no-untyped-def]
    settings.FILE_UPLOAD_HANDLERS = [f"{__name__}.FullDisk"]
    response = api.post("/api/upload", {"file": SimpleUploadedFile("list.csv", LIST)})
    assert response.status_code == 507 and "disk is full" in response.json()["detail"]
    assert not Batch.objects.exists()


def test_progress_is_told_to_the_uploader_alone_while_rows_load(api: Client, sender: User, staff: User) -> None:
    key = f"page-{connection.settings_dict['NAME']}-{sender.pk}"
    assert api.get("/api/upload/progress", {"key": key}).json() == {"rows": 0, "percent": 0}
    intake.report_to_redis(sender.pk, key)(ImportProgress(rows=340_000, percent=34))
    assert api.get("/api/upload/progress", {"key": key}).json() == {"rows": 340_000, "percent": 34}
    api.force_login(staff)
    assert api.get("/api/upload/progress", {"key": key}).json() == {"rows": 0, "percent": 0}


def test_progress_ends_at_all_rows_when_an_upload_is_read(api: Client, sender: User) -> None:
    key = f"whole-{connection.settings_dict['NAME']}-{sender.pk}"
    lines = b"email\n" + b"".join(b"user%d@example.org\n" % number for number in range(5_000)) + b"nope\n"
    file = SimpleUploadedFile("list.csv", lines)
    assert api.post("/api/upload", {"file": file, "draft": "true"}, headers={"Idempotency-Key": key}).status_code == 202
    assert api.get("/api/upload/progress", {"key": key}).json() == {"rows": 5_001, "percent": 100}


def test_review_names_near_columns_and_foreign_tags(api: Client) -> None:
    EmailTemplate.objects.create(key="old", name="Old", subject="S", text="{{ Nmae }} and *|FNAME|*")
    batch_id = upload(api, b"name,email\nAnn,ann@example.org\n")
    found = api.get(f"/api/batches/{batch_id}/review?templateId=old").json()
    assert found["nearFields"] == {"Nmae": ["name"]}
    assert found["foreignTags"] == [
        "The text body has *|FNAME|* in line 1. It would be sent unchanged. To show the column name, write {{ name }}."
    ]
