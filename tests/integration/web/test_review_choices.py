"""The review: whom it previews, what it remembers, and the concerns beside its send button."""

from __future__ import annotations

import re
from io import BytesIO

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from batches import intake
from batches.do_not_send import Entry, add_addresses
from batches.models import Batch, EmailTemplate

LIST = """Name,E-Mail,Town
Zoë Meyer,zoe@example.org,Kiel
Bo,bo@example.org,
Ned,ned@@example,Bonn
Amir,zoe@example.org,Ulm
"""


@pytest.fixture
def draft(sender: User, welcome: EmailTemplate) -> Batch:
    EmailTemplate.objects.create(key="town", name="Town", subject="S", text="{{ name }} of {{ town or 'x' }}")
    return intake.import_csv(BytesIO(LIST.encode()), filename="list.csv", user=sender).batch


def read(page: Client, draft: Batch, **query: str) -> str:
    return page.get(reverse("review", args=[draft.pk]), query).content.decode()


@pytest.mark.parametrize(("asked", "shown"), [("meyer", "Zoë Meyer of Kiel"), ("BO@", "Bo of x"), ("3", "Bo of x")])
def test_preview_is_of_the_person_when_a_name_an_address_or_a_line_is_typed(
    page: Client, draft: Batch, asked: str, shown: str
) -> None:
    form = {"template": "town", "row": "2" if asked != "meyer" else "3", "line": asked}
    answer = page.post(reverse("review-choose", args=[draft.pk]), form, follow=True)
    assert shown in answer.content.decode()
    assert "Nobody on the list fits" not in answer.content.decode()


def test_page_says_so_when_nobody_fits(page: Client, draft: Batch) -> None:
    form = {"template": "town", "row": "3", "line": 'nobody "at" all%_'}
    text = page.post(reverse("review-choose", args=[draft.pk]), form, follow=True).content.decode()
    assert "Nobody on the list fits “nobody &quot;at&quot; all%_”. This is line 3." in " ".join(text.split())


def test_draft_shows_what_was_chosen_before_when_it_is_opened_again(page: Client, draft: Batch) -> None:
    read(page, draft, template="town", subject="For {{ name }}")
    again = read(page, draft)
    assert '<option value="town" selected>' in again and "For Zoë Meyer" in again
    assert '<option value="welcome_email" selected>' in read(page, draft, template="welcome_email")


def test_concerns_are_gathered_at_the_send_button(page: Client, draft: Batch) -> None:
    add_addresses(["bo@example.org"], Entry())
    text = read(page, draft, template="town")
    found = re.search(r'id="concerns">(.*?)</div>', text, re.DOTALL)
    assert found
    for sentence in (
        "1 row has no “town”.",
        "1 line can&#x27;t be used.",
        "1 line has an address that was there already.",
        "1 recipient is on the do-not-send list, and gets nothing.",
    ):
        assert sentence in found[1]
    assert text.index('id="message"') < text.index('id="concerns"') < text.index('id="send"') < text.index('id="list"')


@pytest.mark.parametrize("button", ["review-choose", "review-test"])
def test_typed_time_stays_when_another_button_is_pressed(page: Client, draft: Batch, button: str) -> None:
    typed = {"scheduled_at": "2099-10-25T02:30", "scheduled_at_zone": "Europe/Berlin", "scheduled_at_which": "second"}
    form = {"template": "town", "to": "me@example.org", **typed}
    page.post(reverse(button, args=[draft.pk]), form)
    text = read(page, draft)
    assert 'name="scheduled_at" value="2099-10-25T02:30"' in text
    assert 'name="scheduled_at_zone" value="Europe/Berlin"' in text
    assert '<option value="second" selected>' in text
    page.post(reverse("review-choose", args=[draft.pk]), {**form, "scheduled_at": ""})
    assert 'name="scheduled_at" value=""' in read(page, draft)


def test_typed_time_and_subject_stay_when_the_next_message_is_shown(page: Client, draft: Batch) -> None:
    text = read(page, draft)
    first, following = draft.emails.order_by("row")[:2]
    assert f'name="go" value="{following.row}">Next' in text and "Previous" not in text
    form = {"template": "town", "row": str(first.row), "line": str(first.shown_line), "go": str(following.row)}
    form |= {"subject": "Come", "scheduled_at": "2099-01-01T09:00"}
    text = page.post(reverse("review-choose", args=[draft.pk]), form, follow=True).content.decode()
    assert f"<dd>{following.address}</dd>" in text and f'name="go" value="{first.row}">← Previous' in text
    assert 'value="Come"' in text and 'value="2099-01-01T09:00"' in text
