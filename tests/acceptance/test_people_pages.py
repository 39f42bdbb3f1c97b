"""Did Ms X get it? From home in two clicks and a name, by a user who sees the own batches alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from batches.models import Attempt, Batch, EmailStatus, JobStatus, Lane, SuppressionReason
from batches.outcomes import Outcome
from batches.suppressions import suppress
from tests.acceptance.browser import take_picture
from tests.conftest import MakeJob, MakeUser
from tests.integration.directory.conftest import MakeList, make_list

__all__ = ["make_list"]

VIEWS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1440, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 768, "height": 900}},
    "narrow": {"color_scheme": "light", "viewport": {"width": 360, "height": 740}},
}
LONG = "a.very.long.address.of.somebody.with.many.names.indeed@a-subdomain.of-a-long.domain.example.org"


@pytest.fixture
def batches(transactional_db: None, make_list: MakeList, make_job: MakeJob, make_user: MakeUser) -> list[Batch]:
    """Two letters to Ms X and others. She has got the first, and the second failed twice. Another user wrote to her."""
    people = [("Zoë Müller", "zoe.mueller@example.org"), ("Ann Berg", LONG), ("", "somebody@example.org")]
    made = [make_list(*people), make_list(*people, *((f"Person {n}", f"p{n}@example.org") for n in range(80)))]
    make_list(people[0], owner=make_user("other", "Senders"))
    for batch, name in zip(made, ("Letter of May", "Letter of June"), strict=True):
        Batch.objects.filter(pk=batch.pk).update(name=name)
        batch.emails.update(attempts=1, completed_at=timezone.now(), code=250, reply="2.0.0 Ok: queued as 4F2A1")
    ends = {"status": JobStatus.COMPLETED, "completed_at": timezone.now(), "started_at": timezone.now()}
    for batch in (made[0], made[1], made[1]):
        lane = Lane.objects.create(job=make_job(batch, **ends), number=0)
        failed = batch == made[1]
        email = batch.emails.get(row=2)
        Attempt.objects.create(
            email=email,
            lane=lane,
            number=1,
            outcome=Outcome.FAILED if failed else Outcome.SENT,
            code=550 if failed else 250,
            reply="5.1.1 no such user: zoe.mueller" if failed else "2.0.0 Ok: queued as 4F2A1",
            relay="mail.example.org",
        )
        batch.emails.update(lane=lane)
    failure = {"status": EmailStatus.FAILED, "code": 550, "reply": "5.1.1 no such user: zoe.mueller"}
    made[1].emails.filter(row=2).update(**failure)
    Batch.objects.filter(pk=made[1].pk).update(sent_count=82, failed_count=1)
    suppress("zoe.mueller@example.org", reason=SuppressionReason.BOUNCED)
    return made


@pytest.fixture
def tab(request: pytest.FixtureRequest, chromium: Browser, site: str, sender: User) -> Iterator[Page]:
    """A tab in which the sender is signed in, who is not staff. With ``indirect``, in one of VIEWS."""
    client = Client()
    client.force_login(sender)
    context = chromium.new_context(base_url=site, **VIEWS[getattr(request, "param", "light")])
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site}])
    yield context.new_page()
    context.close()


def test_mail_of_a_person_is_found_in_two_clicks_and_a_name(batches: list[Batch], tab: Page) -> None:
    tab.goto("/")
    tab.get_by_label("Find a person by name or address").click()
    tab.keyboard.type("muller")
    tab.keyboard.press("Enter")
    tab.locator("#found").get_by_role("link", name="Zoë Müller").click()
    mails = tab.locator(".mails > li")
    expect(mails).to_have_count(2)
    expect(mails.nth(0)).to_contain_text("Hello Zoë Müller")
    expect(mails.nth(0)).to_contain_text("5.1.1 no such user")
    expect(mails.nth(0)).to_contain_text("All 2 attempts")
    expect(mails.nth(1)).to_contain_text("Letter of May")
    expect(tab.locator("#suppressed")).to_contain_text("do-not-send list")


def test_message_is_shown_as_it_was_sent_when_the_link_is_followed(batches: list[Batch], tab: Page) -> None:
    tab.goto(f"/batches/{batches[0].pk}/?q=zoe")
    tab.locator("#rows").get_by_role("link", name="Zoë Müller").click()
    expect(tab.locator("#message")).to_contain_text("Hello Zoë Müller")
    expect(tab.frame_locator("#message iframe").locator("body")).to_contain_text("Dear Zoë Müller")
    expect(tab.locator("#attempts tbody tr")).to_have_count(1)


@pytest.mark.parametrize("tab", VIEWS, indirect=True)
def test_pages_of_people_fit_every_width(batches: list[Batch], tab: Page, request: pytest.FixtureRequest) -> None:
    view = request.node.callspec.params["tab"]
    tab.goto("/people/?q=mul")
    person = tab.locator("#found a.title").last.get_attribute("href")
    pages = {
        "search": "/people/?q=p",
        "nobody": "/people/?q=xyz",
        "person": person,
        "recipient": f"/batches/{batches[1].pk}/recipients/2/",
        "recipients": f"/batches/{batches[1].pk}/#rows",
        "batches": "/batches/",
        "no-batch": "/batches/?q=xyz",
    }
    for name, address in pages.items():
        assert address
        tab.goto(address)
        take_picture(tab, f"people-{name}-{view}")
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), (name, view)
