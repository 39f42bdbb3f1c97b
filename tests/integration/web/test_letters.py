"""The check of every letter on the review page and over the API."""

from __future__ import annotations

from io import BytesIO

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from batches import intake
from batches.jobs import queues
from batches.jobs.check_letters import check_every_letter
from batches.jobs.letter_checks import read_check
from batches.models import Batch, EmailTemplate, LetterCheckState
from batches.rendering.template import MessageParts
from batches.web import letters
from tests.conftest import MakeUser

LIST = "name,email,kind\n" + "".join(
    f"N{row},p{row}@example.org,{'deep' if row in (7, 19) else ''}\n" for row in range(2, 32)
)
ALL_FINE = "All 30 letters were checked. None has a fault."


@pytest.fixture
def draft(sender: User) -> Batch:
    return intake.import_csv(BytesIO(LIST.encode()), filename="list.csv", user=sender).batch


@pytest.fixture
def deep(db: None) -> EmailTemplate:
    """A template that two rows of the list do not fit."""
    text = "{% if kind == 'deep' %}{{ nothing.at.all }}{% endif %}Dear {{ name }}"
    return EmailTemplate.objects.create(key="deep", name="Deep", subject="Hello", text=text, is_default=True)


def read(page: Client, batch: Batch, **query: str) -> str:
    return page.get(reverse("review", args=[batch.pk]), query).content.decode()


def run_check(batch: Batch, template: EmailTemplate) -> None:
    check = read_check(batch, MessageParts.of(template))
    assert check is not None
    check_every_letter(run=check.run)


def test_short_list_is_checked_by_itself_and_faulty_rows_are_linked(
    page: Client, draft: Batch, deep: EmailTemplate
) -> None:
    text = read(page, draft)
    assert "Sending and checking are switched off at the moment" in text
    assert f'data-poll="/batches/{draft.pk}/review/letters/?template=deep&amp;row=2"' in text
    run_check(draft, deep)
    text = read(page, draft)
    assert "2 of 30 letters have a fault." in text
    assert (
        '<a href="?template=deep&amp;row=7#message">7</a>, <a href="?template=deep&amp;row=19#message">19</a>' in text
    )
    assert "data-poll" not in text


def test_biggest_message_is_linked_when_gmail_would_clip_it(page: Client, draft: Batch) -> None:
    text = "{% if name == 'N9' %}" + "x" * 103_000 + "{% endif %}Dear {{ name }}"
    template = EmailTemplate.objects.create(key="long", name="Long", subject="Hello", text=text, is_default=True)
    assert "The message has 1 KB. Gmail shows all of it." in read(page, draft)
    run_check(draft, template)
    text = read(page, draft)
    assert "The biggest message has 103 KB. Gmail shows the first 102 KB and hides the rest:" in text
    assert '<a href="?template=long&amp;row=9#message">9</a>' in text


def test_page_says_that_all_is_well_when_no_letter_has_a_fault(
    page: Client, draft: Batch, welcome: EmailTemplate
) -> None:
    read(page, draft)
    run_check(draft, welcome)
    assert ALL_FINE in read(page, draft)
    part = page.get(reverse("review-letters", args=[draft.pk])).content.decode()
    assert ALL_FINE in part
    assert "<html" not in part


def test_long_list_is_checked_after_a_click(
    page: Client, draft: Batch, welcome: EmailTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters, "AUTOMATIC_MAX_ROWS", 29)
    assert ">Check every letter</button>" in read(page, draft)
    assert read_check(draft, MessageParts.of(welcome)) is None
    answer = page.post(reverse("review-letters", args=[draft.pk]), {"template": welcome.key, "row": "4"})
    assert answer.headers["Location"] == f"/batches/{draft.pk}/review/?template=welcome_email&row=4#letters"
    assert "switched off at the moment" in read(page, draft)
    run_check(draft, welcome)
    assert ALL_FINE in read(page, draft)


def test_nothing_is_checked_when_the_list_lacks_a_field(page: Client, draft: Batch) -> None:
    EmailTemplate.objects.create(key="code", name="Code", subject="S", text="{{ code }}")
    assert 'id="letters"' not in read(page, draft, template="code")


def test_page_says_so_when_redis_is_away(
    page: Client, draft: Batch, welcome: EmailTemplate, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    for cached in (queues.client, queues.open_queue):
        cached.cache_clear()
    try:
        text = read(page, draft)
    finally:
        for cached in (queues.client, queues.open_queue):
            cached.cache_clear()
    assert (
        "A part of the program can&#x27;t be used now, so the letters of the other rows can&#x27;t be checked." in text
    )


def test_nobody_begins_a_check_by_looking_who_may_not_ask_for_one(
    client: Client, draft: Batch, deep: EmailTemplate, make_user: MakeUser
) -> None:
    client.force_login(make_user("auditor", "Auditors"))
    assert read(client, draft)
    assert read_check(draft, MessageParts.of(deep)) is None


def test_letters_of_another_users_draft_are_not_found(draft: Batch, staff: User, welcome: EmailTemplate) -> None:
    other = Client()
    other.force_login(User.objects.create_user("other"))
    assert other.get(reverse("review-letters", args=[draft.pk])).status_code == 404
    assert other.post(reverse("review-letters", args=[draft.pk])).status_code == 404
    assert other.post(f"/api/batches/{draft.pk}/letters").status_code == 404


def test_api_checks_every_letter(page: Client, draft: Batch, deep: EmailTemplate) -> None:
    address = f"/api/batches/{draft.pk}/letters"
    assert page.get(address).status_code == 404
    begun = page.post(address)
    assert begun.status_code == 202
    assert begun.json()["state"] == LetterCheckState.WAITING
    run_check(draft, deep)
    found = page.get(address).json()
    [fault] = found.pop("faults")
    assert found == {
        "batchId": draft.pk,
        "templateId": "deep",
        "state": LetterCheckState.DONE,
        "totalLetters": 30,
        "checkedLetters": 30,
        "faultyLetters": 2,
        "detail": "2 of 30 letters have a fault.",
    }
    assert (fault["count"], fault["rows"]) == (2, [7, 19])
    assert page.post(address).json()["state"] == LetterCheckState.DONE
    assert page.post(f"{address}?again=true").json()["state"] == LetterCheckState.WAITING


def test_api_refuses_a_check_when_the_batch_was_sent(page: Client, draft: Batch, welcome: EmailTemplate) -> None:
    assert page.post(f"/api/batches/{draft.pk}/send", {}, "application/json").status_code == 202
    assert page.post(f"/api/batches/{draft.pk}/letters").status_code == 409
