"""The page of the do-not-send list."""

from __future__ import annotations

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from batches.models import Suppression, SuppressionReason, Topic
from batches.suppressions import find_digest, is_suppressed, list_of, suppress
from tests.conftest import MakeUser

pytestmark = pytest.mark.django_db


@pytest.fixture
def auditor(client: Client, make_user: MakeUser) -> Client:
    client.force_login(make_user("auditor", "Auditors"))
    return client


def read(client: Client, name: str = "suppressions", **form: object) -> str:
    answer = client.post(reverse(name), form, follow=True) if form else client.get(reverse(name))
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def test_address_is_added_found_and_taken_off(auditor: Client) -> None:
    assert "Nobody is on the list." in read(auditor)
    form = {"address": "Ann <ann@Bücher.example>", "topic": "news", "until": "2199-03-31", "source": "letter of May"}
    assert "gets no mail of the topic “News” any more" in read(auditor, "suppressions-add", **form)
    row = Suppression.objects.get()
    assert (row.topic, row.reason, row.source) == (Topic.objects.get(key="news"), "manual", "letter of May")
    text = read(auditor, "suppressions-find", address="ann@bücher.example")
    assert text.count("letter of May") == 2 and "Entered by hand" in text and "31 March 2199" in text
    assert "is not on the list" in read(auditor, "suppressions-find", address="bo@example.org")
    auditor.post(reverse("suppression-lift", args=[row.pk]))
    assert not is_suppressed("ann@bücher.example")
    assert auditor.post(reverse("suppression-lift", args=[row.pk])).status_code == 302


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"address": "nobody"}, "@"),
        ({"address": "ann@example.org", "until": "2001-01-01"}, "Choose a day after today"),
        ({"address": "ann@example.org", "topic": "nope"}, "valid choice"),
    ],
)
def test_form_says_what_is_wrong(auditor: Client, form: dict[str, str], words: str) -> None:
    answer = auditor.post(reverse("suppressions-add"), form)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Suppression.objects.exists()


def test_page_finds_a_pasted_name_and_refuses_what_is_no_address(auditor: Client) -> None:
    suppress("ann@example.org", reason=SuppressionReason.COMPLAINED)
    assert "Complained" in read(auditor, "suppressions-find", address="Ann Berg <ANN@example.org>")
    answer = auditor.post(reverse("suppressions-find"), {"address": "ann"})
    assert answer.status_code == 422
    assert "It gets mail" not in answer.content.decode()


def test_file_is_imported_and_bad_lines_are_shown(auditor: Client) -> None:
    file = SimpleUploadedFile("gone.csv", b"email\nann@example.org\nnobody\n")
    text = read(auditor, "suppressions-import", file=file, reason="bounced")
    assert "The file has 1 address." in text and "1 line could not be used" in text and "Line 3:" in text
    assert list_of(find_digest("ann@example.org")).get().source == "gone.csv"
    wrong = SimpleUploadedFile("names.csv", b"name\nAnn\n")
    assert auditor.post(reverse("suppressions-import"), {"file": wrong, "reason": "manual"}).status_code == 422


def test_page_shows_the_rows_of_one_reason(auditor: Client) -> None:
    suppress("ann@example.org", reason=SuppressionReason.UNSUBSCRIBED, source="page one")
    suppress("bo@example.org", reason=SuppressionReason.BOUNCED, source="door two")
    text = auditor.get(reverse("suppressions"), {"reason": "bounced"}).content.decode()
    assert "door two" in text and "page one" not in text
    everything = read(auditor)
    assert "All news" in everything and "All mail" in everything
