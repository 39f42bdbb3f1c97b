"""The search for people, and the page of one person."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from batches.models import Attempt, Batch, EmailJob, EmailTemplate, JobStatus, Lane, Person, SuppressionReason
from batches.outcomes import Outcome
from batches.suppressions import suppress
from batches.web.listed_emails import fill_subject
from tests.conftest import MakeJob, MakeUser
from tests.integration.directory.conftest import MakeList, make_list

__all__ = ["make_list"]

ANN = ("Ann Berg", "ann@example.org")
BOB = ("Bob Roth", "bob@example.org")


def search(client: Client, text: str) -> str:
    return client.get(reverse("people"), {"q": text}).content.decode()


def test_person_is_listed_with_the_newest_mail_when_name_is_a_part(
    page: Client, make_list: MakeList, make_job: MakeJob
) -> None:
    make_job(make_list(ANN, BOB), JobStatus.COMPLETED)
    html = search(page, "ber")
    assert f'href="{reverse("person-mails", args=[Person.objects.get(words__contains="berg").pk])}"' in html
    assert "Hello Ann Berg" in html and "list.csv" in html
    assert "Bob" not in html


@pytest.mark.parametrize(
    ("subject", "listed"),
    [
        ("Hi {{ name }}", "Hi Ann Berg"),
        ("Welcome, {{ name | default('friend') }}!", "Autumn"),
        ("{% if name %}Hi{% endif %}", "Autumn"),
    ],
)
def test_mail_is_listed_by_its_template_when_its_subject_has_more_than_names(
    page: Client, make_list: MakeList, make_job: MakeJob, subject: str, listed: str
) -> None:
    EmailTemplate.objects.update(name="Autumn")
    job = make_job(make_list(ANN), JobStatus.COMPLETED)
    EmailJob.objects.filter(pk=job.pk).update(subject=subject)
    html = search(page, "berg")
    assert f"<td>{listed}<small>" in html and "{" not in html.partition("<main")[2]


def test_page_says_what_to_do_when_nobody_was_found(page: Client, make_list: MakeList) -> None:
    make_list(ANN)
    assert "Nobody was found. Try a part of the name" in search(page, "xyz")
    assert "Nobody was found" not in search(page, "")


def test_page_says_so_when_a_batch_is_not_listed_yet(page: Client, make_list: MakeList) -> None:
    make_list(ANN, is_listed=False)
    assert "can&#x27;t be found yet" in search(page, "ann") or "can't be found yet" in search(page, "ann")


def test_person_page_has_every_mail_and_why_the_address_gets_none(
    page: Client, make_list: MakeList, make_job: MakeJob
) -> None:
    failed, sent = make_list(ANN), make_list(("Ann Roth", ANN[1]))
    for batch, outcome, reply in ((failed, Outcome.FAILED, "no such user"), (sent, Outcome.SENT, "queued")):
        lane = Lane.objects.create(job=make_job(batch, JobStatus.COMPLETED), number=0)
        email = batch.emails.get()
        Attempt.objects.create(email=email, lane=lane, number=1, outcome=outcome, code=250, reply=reply)
        batch.emails.update(attempts=1, lane=lane, reply=reply)
    suppress(ANN[1], reason=SuppressionReason.BOUNCED)
    html = page.get(reverse("person-mails", args=[Person.objects.get().pk])).content.decode()
    assert html.index("Hello Ann Roth") < html.index("Hello Ann Berg")
    assert "no such user" in html and "queued" in html
    assert "on the do-not-send list now:" in html
    assert reverse("recipient", args=[failed.pk, 2]) in html
    assert reverse("person-export") not in html and f'action="{reverse("person")}"' not in html


def test_person_is_not_found_when_the_person_is_in_lists_of_another_user(
    make_user: MakeUser, make_list: MakeList
) -> None:
    make_list(ANN)
    other = Client()
    other.force_login(make_user("other", "Senders"))
    assert other.get(reverse("person-mails", args=[Person.objects.get().pk])).status_code == 404
    assert "Ann Berg" not in search(other, "ann")


def test_auditor_is_led_to_everything_that_is_kept(make_user: MakeUser, staff: User, make_list: MakeList) -> None:
    make_list(ANN)
    client = Client()
    client.force_login(staff)
    html = client.get(reverse("person-mails", args=[Person.objects.get().pk])).content.decode()
    assert f'action="{reverse("person")}"' in html


def test_recipient_page_leads_to_the_person_when_the_batch_is_listed(page: Client, make_list: MakeList) -> None:
    batch = make_list(ANN)
    html = page.get(reverse("recipient", args=[batch.pk, 2])).content.decode()
    assert reverse("person-mails", args=[Person.objects.get().pk]) in html


@pytest.mark.parametrize("query", ["after=x", "after=1.2", "after=999999999999999999", "q=%00", "q=a&after=5"])
def test_page_opens_when_query_is_odd(page: Client, make_list: MakeList, query: str) -> None:
    make_list(ANN)
    assert page.get(f"{reverse('people')}?{query}").status_code in (200, 400)
    person = reverse("person-mails", args=[Person.objects.get().pk])
    assert page.get(f"{person}?{query}").status_code in (200, 400, 404)


def test_subject_is_filled_when_gaps_name_fields() -> None:
    subject = "{{ Vorname }}: {{nach-name|upper}} {{ missing }} {% if x %}"
    assert fill_subject(subject, ["vorname", "nachname"], ["Ann", "Berg"]) == (
        "Ann: {{nach-name|upper}} {{ missing }} {% if x %}"
    )


def test_api_finds_people_and_their_emails(page: Client, make_list: MakeList) -> None:
    batches = [make_list(ANN, BOB) for _ in range(3)]
    found = page.get("/api/people", {"q": "berg"}).json()
    [ann] = found["items"]
    assert found["next"] is None
    assert (ann["name"], ann["address"], ann["emailCount"]) == ("Ann Berg", "ann@example.org", 3)
    assert ann["newest"]["batchId"] == batches[-1].pk and ann["newest"]["status"] == "sent"
    first = page.get(f"/api/people/{ann['id']}/emails", {"limit": "2"}).json()
    rest = page.get(f"/api/people/{ann['id']}/emails", {"limit": "2", "cursor": str(first["next"])}).json()
    assert [mail["batchId"] for mail in first["items"] + rest["items"]] == [batch.pk for batch in reversed(batches)]


def test_api_pages_through_people_when_there_are_many(page: Client, make_list: MakeList) -> None:
    make_list(*((f"Ann{n}", f"ann{n}@example.org") for n in range(5)))
    first = page.get("/api/people", {"q": "ann", "limit": "3"}).json()
    rest = page.get("/api/people", {"q": "ann", "limit": "3", "cursor": str(first["next"])}).json()
    assert len(first["items"]) == 3 and len(rest["items"]) == 2 and rest["next"] is None
    assert page.get("/api/people", {"q": "ann", "cursor": "x"}).status_code == 422
    assert page.get("/api/people").status_code == 422


def test_api_answers_404_when_the_person_is_of_another_user(make_user: MakeUser, make_list: MakeList) -> None:
    batch: Batch = make_list(ANN)
    assert batch.pk
    other = Client()
    other.force_login(make_user("other", "Senders"))
    assert other.get(f"/api/people/{Person.objects.get().pk}/emails").status_code == 404
    assert other.get("/api/people", {"q": "ann"}).json() == {"items": [], "next": None}
