"""The suppression list over the API: add, import, ask, download and take off."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from batches import suppression_export
from batches.models import AuditAction, AuditEntry, Batch, Email, EmailTemplate, Suppression, SuppressionReason, Topic
from batches.suppressions import find_digest, is_suppressed, list_of, read_key, suppress
from tests.conftest import MakeUser

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(client: Client, make_user: MakeUser) -> Client:
    client.force_login(make_user("auditor", "Auditors"))
    return client


def call(api: Client, method: str, **body: object) -> tuple[int, Any]:
    answer = getattr(api, method)("/api/suppressions", json.dumps(body), content_type="application/json")
    return answer.status_code, answer.json()


def upload(api: Client, content: str | bytes, **options: str) -> tuple[int, Any]:
    data = content.encode() if isinstance(content, str) else content
    answer = api.post("/api/suppressions/import", {"file": SimpleUploadedFile("list.csv", data), **options})
    return answer.status_code, answer.json()


def test_address_is_added_once_and_taken_off(api: Client) -> None:
    assert call(api, "post", address="Ann Berg <Ann@Bücher.example>") == (200, {"success": True, "addedCount": 1})
    assert call(api, "post", address="ann@xn--bcher-kva.example") == (200, {"success": True, "addedCount": 0})
    assert is_suppressed("ann@bücher.example")
    assert call(api, "delete", address="ANN@bücher.example") == (200, {"success": True, "removedCount": 1})
    assert call(api, "delete", address="ann@bücher.example") == (200, {"success": True, "removedCount": 0})
    entries = AuditEntry.objects.filter(action__in=[AuditAction.SUPPRESS, AuditAction.LIFT]).order_by("pk")
    assert [entry.details["person"] for entry in entries] == [entries[0].details["person"]] * 4
    assert "cher" not in str([entry.details for entry in entries])


def test_list_is_read_by_reason_time_topic_and_address(api: Client) -> None:
    before = timezone.now().isoformat()
    suppress("ann@example.org", reason=SuppressionReason.BOUNCED, source="door")
    suppress("bo@example.org", reason=SuppressionReason.UNSUBSCRIBED, topic=Topic.objects.get(key="news"))

    def read(**query: str) -> list[Any]:
        answer = api.get("/api/suppressions", query)
        assert answer.status_code == 200
        return list(answer.json()["items"])

    [bo, ann] = read()
    assert (bo["topic"], bo["reason"], bo["endsAt"]) == ("news", "unsubscribed", None)
    assert (ann["topic"], ann["reason"], ann["source"]) == (None, "bounced", "door")
    assert ann["digest"] == find_digest("ann@example.org").hex()
    assert read(reason="bounced") == [ann]
    assert read(topic="news") == [bo]
    assert read(address="BO@example.org") == [bo]
    assert read(since=before) == [bo, ann]
    assert read(until=before) == []
    assert read(since="0001-01-01T00:00:00", until="9999-12-31T23:59:59") == [bo, ann]
    page = api.get("/api/suppressions", {"limit": 1}).json()
    assert (page["items"], api.get("/api/suppressions", {"cursor": page["next"]}).json()["items"]) == ([bo], [ann])


@pytest.mark.parametrize(
    "spelling",
    [
        "Jose\u0301@example.org",
        "Jos\u00e9 <JOS\u00c9@example.org>",
        "mailto:jos\u00e9@example.org",
        "jos\u00e9@example.org.",
    ],
)
def test_address_is_found_in_each_spelling_that_a_list_may_have(api: Client, spelling: str) -> None:
    suppress("jos\u00e9@example.org", reason=SuppressionReason.BOUNCED)
    assert len(api.get("/api/suppressions", {"address": spelling}).json()["items"]) == 1


def test_question_about_what_is_no_address_is_refused(api: Client) -> None:
    answer = api.get("/api/suppressions", {"address": "nobody"})
    assert answer.status_code == 422 and "@" in answer.json()["detail"]


def test_many_are_added_for_a_topic_until_a_day(api: Client) -> None:
    addresses = [f"p{number}@example.org" for number in range(50)]
    body: dict[str, object] = {"addresses": addresses, "topic": "news", "reason": "complained"}
    body |= {"endsAt": "2099-01-01T00:00:00Z"}
    assert call(api, "post", **body)[1]["addedCount"] == 50
    row = list_of(find_digest("P7@example.org")).get()
    assert (row.topic, row.reason) == (Topic.objects.get(key="news"), SuppressionReason.COMPLAINED)
    assert row.ends_at is not None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "either 'address' or 'addresses'"),
        ({"address": "a@example.org", "addresses": []}, "not both"),
        ({"addresses": []}, "at least one"),
        ({"addresses": ["ann@example.org", "nobody"]}, "@"),
        ({"address": "ann@example.org", "topic": "nope"}, "There is no topic 'nope'. The topics are: news, service."),
        ({"address": "ann@example.org", "reason": "erased"}, "Only the erasure"),
        ({"address": "ann@example.org", "reason": "tired"}, "reason"),
        ({"address": "ann@example.org", "endsAt": "2001-01-01T00:00:00Z"}, "past. Choose a later one, or leave it out"),
        ({"address": "ann@example.org", "endsAt": "0001-01-01T00:00:00+14:00"}, "too early"),
        ({"address": "ann@example.org", "endsAt": "2199"}, "time"),
        ({"address": "ann@example.org", "endsAt": "9999-12-31T23:59:59-14:00"}, "too late"),
        ({"adress": "ann@example.org"}, "address"),
    ],
)
def test_nothing_is_added_when_the_request_is_wrong(api: Client, body: dict[str, object], words: str) -> None:
    status, answer = call(api, "post", **body)
    assert status == 422
    assert words in json.dumps(answer, ensure_ascii=False)
    assert not Suppression.objects.exists()


@pytest.mark.parametrize(
    "content",
    [
        "ann@example.org\nbo@example.org\n",
        "email\nAnn@Example.org\nbo@example.org\nann@example.org\n",
        "Name;E-Mail\nZoë;ann@example.org\nBo;bo@example.org\n".encode("cp1252"),
        "Ann <ann@example.org>, Bo <bo@example.org>",
        "name,email\nx,ann@example.org; bo@example.org\n",
    ],
)
def test_file_is_read_as_a_list_is(api: Client, content: str | bytes) -> None:
    status, answer = upload(api, content)
    assert (status, answer["addedCount"], answer["rejectedCount"]) == (200, 2, 0)
    assert is_suppressed("ann@example.org") and is_suppressed("bo@example.org")
    assert set(Suppression.objects.values_list("reason", "source")) == {("imported", "list.csv")}


def test_columns_say_reason_topic_and_end_for_their_lines(api: Client) -> None:
    rows = ("a,complained,,", "b,hard bounce,news,2199-01-31", "c,,nope,", "d,,,soon", "e,erased,,")
    lines = [row.replace(",", "@example.org,", 1) for row in rows]
    status, answer = upload(api, "\n".join(["email,reason,topic,ends_at", *lines, "nobody,,,"]), reason="manual")
    assert (status, answer["addressCount"], answer["addedCount"], answer["rejectedCount"]) == (200, 5, 3, 3)
    assert {fault["line"] for fault in answer["rejected"]} == {4, 5, 7}
    found = {
        letter: (row.reason, row.topic.key if row.topic else "", row.ends_at is not None)
        for letter in "abe"
        for row in list_of(find_digest(f"{letter}@example.org"))
    }
    assert found == {"a": ("complained", "", False), "b": ("manual", "news", True), "e": ("manual", "", False)}


def read_export() -> bytes:
    """Return what GET /api/suppressions.csv streams. The acceptance tests read the address itself."""
    return b"".join(suppression_export.suppressions_csv(Suppression.objects.all(), key=read_key()))


def test_export_is_imported_again_by_the_same_site_alone(api: Client) -> None:
    news = Topic.objects.get(key="news")
    suppress("ann@example.org", reason=SuppressionReason.UNSUBSCRIBED, topic=news, source="=1+1")
    suppress("bo@example.org", reason=SuppressionReason.ERASED)
    suppress("cy@example.org", reason=SuppressionReason.BOUNCED, ends_at=timezone.now() + timedelta(days=9))
    text = read_export()
    assert b"'=1+1" in text and b"ann" not in text
    before = list(Suppression.objects.order_by("pk").values_list("digest", "topic", "reason", "source", "ends_at"))
    Suppression.objects.all().delete()
    assert upload(api, text)[1]["addedCount"] == 3
    rows = Suppression.objects.values_list("digest", "topic", "reason", "source", "ends_at")
    assert sorted(map(str, rows)) == sorted(map(str, before))
    assert upload(api, text)[1]["addedCount"] == 0
    other = text.replace(suppression_export.name_key(read_key()).encode(), b"00000000")
    status, answer = upload(api, other)
    assert status == 400 and "another site" in answer["detail"]


@pytest.mark.parametrize(
    ("delimiter", "quoting"), [(";", csv.QUOTE_ALL), ("\t", csv.QUOTE_MINIMAL), ("|", csv.QUOTE_ALL)]
)
def test_export_is_imported_again_when_a_spreadsheet_has_saved_it(api: Client, delimiter: str, quoting: Any) -> None:
    suppress("ann@example.org", reason=SuppressionReason.UNSUBSCRIBED, source="a;b, c\t|")
    before = list(Suppression.objects.values_list("digest", "reason", "source"))
    saved = io.StringIO()
    rows = csv.reader(io.StringIO(read_export().decode("utf-8-sig")))
    csv.writer(saved, delimiter=delimiter, quoting=quoting).writerows([*row, ""] for row in rows)
    Suppression.objects.all().delete()
    status, answer = upload(api, saved.getvalue())
    assert (status, answer["addedCount"]) == (200, 1)
    assert list(Suppression.objects.values_list("digest", "reason", "source")) == before


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ("abcd,,manual,s,,", "no digest"),
        (",,manual,s,,", "no digest"),
        ("ab" * 17 + ",,manual,s,,", "no digest"),
        ("x" * 32 + ",,manual,s,,", "no digest"),
        ("ab" * 16 + ",,manual,s,,0001-01-01", "too early"),
        ("ab" * 16 + ",nope,manual,s,,", "no topic"),
    ],
)
def test_damaged_line_of_an_export_adds_nothing(api: Client, cells: str, words: str) -> None:
    head, name = ",".join(suppression_export.COLUMNS), suppression_export.name_key(read_key())
    status, answer = upload(api, f"{head}\n{cells},{name}\n")
    assert (status, answer["rejectedCount"]) == (200, 1)
    assert words in answer["rejected"][0]["reason"]
    assert not Suppression.objects.exists()


def test_source_of_an_export_is_kept_without_what_no_database_stores(api: Client) -> None:
    head, name = ",".join(suppression_export.COLUMNS), suppression_export.name_key(read_key())
    assert upload(api, f"{head}\n{'ab' * 16},,manual,by\0 phone,,,{name}\n")[1]["addedCount"] == 1
    assert Suppression.objects.get().source == "by phone"


def test_file_without_addresses_is_refused(api: Client) -> None:
    status, answer = upload(api, "name\nAnn\n")
    assert status == 400 and answer["detail"]
    assert not Suppression.objects.exists()


def test_only_what_was_named_is_taken_off(api: Client) -> None:
    news = Topic.objects.get(key="news")
    suppress("ann@example.org", reason=SuppressionReason.UNSUBSCRIBED, topic=news)
    suppress("ann@example.org", reason=SuppressionReason.UNSUBSCRIBED)
    suppress("ann@example.org", reason=SuppressionReason.BOUNCED)
    assert call(api, "delete", address="ann@example.org", topic="news")[1]["removedCount"] == 1
    assert call(api, "delete", address="ann@example.org", reason="bounced")[1]["removedCount"] == 1
    assert [row.reason for row in list_of(find_digest("ann@example.org"))] == ["unsubscribed"]


def test_objection_of_a_recipient_is_not_taken_off_by_the_way(api: Client) -> None:
    suppress("ann@example.org", reason=SuppressionReason.UNSUBSCRIBED)
    suppress("ann@example.org", reason=SuppressionReason.BOUNCED)
    for answer in (
        call(api, "delete", address="Ann@Example.org"),
        (api.delete("/api/suppressions?address=ann%40example.org").status_code, None),
    ):
        assert answer[0] == 422
    assert Suppression.objects.count() == 2
    assert call(api, "delete", address="ann@example.org", reason="bounced")[1]["removedCount"] == 1
    assert call(api, "delete", address="ann@example.org", reason="unsubscribed")[1]["removedCount"] == 1


def test_query_says_what_is_taken_off_when_there_is_no_body(api: Client) -> None:
    suppress("ann@example.org", reason=SuppressionReason.MANUAL)
    suppress("ann@example.org", reason=SuppressionReason.BOUNCED)
    answer = api.delete("/api/suppressions?address=ANN%40example.org&reason=manual")
    assert (answer.status_code, answer.json()) == (200, {"success": True, "removedCount": 1})
    assert api.delete("/api/suppressions?address=ann%40example.org").json()["removedCount"] == 1
    for wrong in ("", "?address=", "?address=nobody", "?address=a%40x.org&topic=nope", "?adress=ann%40example.org"):
        assert api.delete(f"/api/suppressions{wrong}").status_code == 422
    status, _ = call(api, "delete", address="ann@example.org", adress="x")
    assert status == 422


@pytest.fixture
def program(sender: User, welcome: EmailTemplate) -> Client:
    client = Client()
    client.force_login(sender)
    return client


def send_bulk(program: Client, *addresses: str, **more: object) -> tuple[int, Any]:
    recipients = [{"email": address, "name": "x"} for address in addresses]
    body = json.dumps({"templateId": "welcome_email", "recipients": recipients, **more})
    answer = program.post("/api/emails/send-bulk", body, content_type="application/json")
    return answer.status_code, answer.json()


def test_send_says_who_was_left_out_and_why(program: Client) -> None:
    suppress("ann@example.org", reason=SuppressionReason.BOUNCED)
    suppress("bo@example.org", reason=SuppressionReason.UNSUBSCRIBED)
    status, answer = send_bulk(program, "Ann@example.org", "bo@example.org", "cy@example.org")
    assert (status, answer["totalCount"], answer["suppressedCount"]) == (202, 2, 1)
    assert answer["suppressed"] == [{"address": "Ann@example.org", "reason": "bounced"}]
    batch = program.get(f"/api/batches/{answer['batchId']}").json()
    assert (batch["suppressedCount"], batch["suppressedReasons"]) == (1, {"bounced": 1})
    assert program.get("/api/batches").json()["items"][0]["suppressedReasons"] is None
    Email.objects.filter(batch=answer["batchId"]).update(reply="", address="")  # as a purge does
    batch = program.get(f"/api/batches/{answer['batchId']}").json()
    assert (batch["suppressedCount"], batch["suppressedReasons"]) == (1, {})


def test_send_is_refused_with_the_reason_when_nobody_is_left(program: Client) -> None:
    suppress("ann@example.org", reason=SuppressionReason.COMPLAINED)
    status, answer = send_bulk(program, "ann@example.org")
    assert status == 409
    assert "1 complained" in answer["detail"]
    assert not Batch.objects.exists()


def test_retry_of_a_request_says_the_same(program: Client) -> None:
    suppress("ann@example.org", reason=SuppressionReason.MANUAL)
    body = json.dumps({"recipients": [{"email": "ann@example.org", "name": "x"}, {"email": "b@x.org", "name": "x"}]})
    first, second = (
        program.post(
            "/api/emails/send-bulk", body, content_type="application/json", headers={"Idempotency-Key": "k"}
        ).json()
        for _ in range(2)
    )
    assert first == second
    assert first["suppressedCount"] == 1


def test_review_counts_by_the_topic_who_is_left_out(program: Client, settings: LazySettings) -> None:
    settings.PUBLIC_URL = "https://news.example.org"
    settings.UNSUBSCRIBE_KEYS = ["k" * 40]
    suppress("ada@example.org", reason=SuppressionReason.UNSUBSCRIBED)
    suppress("bob@example.org", reason=SuppressionReason.IMPORTED)
    file = SimpleUploadedFile("l.csv", b"name,email\nA,ada@example.org\nB,bob@example.org\nC,cyd@example.org\n")
    draft = program.post("/api/upload", {"file": file, "draft": "true"}).json()["batchId"]

    def review(**query: str) -> tuple[int, dict[str, int]]:
        answer = program.get(f"/api/batches/{draft}/review", query).json()
        return answer["suppressedEmails"], answer["suppressedReasons"]

    assert review() == (1, {"imported": 1})
    assert review(topic="news") == (2, {"imported": 1, "unsubscribed": 1})
    page = program.get(f"/batches/{draft}/review/", {"topic": "news"}).content.decode()
    assert "1 imported, 1 unsubscribed" in page
    assert "to 1 recipient<" in page
