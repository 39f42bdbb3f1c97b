"""The pages of people who may not do everything, in a real browser: what is missing, and the sentence that says why."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from batches.models import BatchStatus, EmailTemplate, JobStatus
from batches.permissions import Permission
from tests.acceptance.browser import take_picture
from tests.conftest import MakeBatch, MakeJob, MakeUser, permit

VIEWS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark-narrow": {"color_scheme": "dark", "viewport": {"width": 360, "height": 740}},
}


def sign_in(user: User, chromium: Browser, site: str, view: str, faults: list[str]) -> Page:
    """Open a tab in which a user is signed in. What its console complains of is added to ``faults``."""
    client = Client()
    client.force_login(user)
    context = chromium.new_context(base_url=site, **VIEWS[view])
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site}])
    page = context.new_page()
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    return page


@pytest.mark.parametrize("view", VIEWS)
def test_pages_say_what_one_may_not_do(
    view: str,
    chromium: Browser,
    site: str,
    transactional_db: None,
    welcome: EmailTemplate,
    make_user: MakeUser,
    make_batch: MakeBatch,
    make_job: MakeJob,
) -> None:
    faults: list[str] = []
    running, draft = make_batch(BatchStatus.PROCESSING, pending=2, sent=3), make_batch(pending=2, rejected=1)
    make_job(running, JobStatus.PROCESSING)
    reader = sign_in(make_user("reader"), chromium, site, view, faults)
    reader.goto("/")
    expect(reader.get_by_role("status")).to_contain_text("You may not send email.")
    expect(reader.locator("form#upload")).to_have_count(0)
    take_picture(reader, f"reader-home-{view}")
    reader.goto("/batches/")
    take_picture(reader, f"reader-batches-{view}")

    viewer = sign_in(permit(make_user("viewer", "Senders"), Permission.VIEW_ALL_BATCHES), chromium, site, view, faults)
    for name, address in {
        "viewer-home": "/",
        "viewer-batch": f"/batches/{running.pk}/",
        "viewer-review": f"/batches/{draft.pk}/review/",
    }.items():
        viewer.goto(address)
        surplus = viewer.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert surplus <= 0, f"{address} is {surplus} pixels too wide"
        take_picture(viewer, f"{name}-{view}")
        if name != "viewer-home":
            expect(viewer.get_by_text("You may not steer the batches of others.").first).to_be_visible()
            expect(viewer.get_by_role("button", name="Pause")).to_have_count(0)
    expect(viewer.locator("#send")).to_have_count(0)
    viewer.locator("#row").fill("3")
    viewer.get_by_role("button", name="Show", exact=True).click()
    expect(viewer).to_have_url(f"{site}/batches/{draft.pk}/review/?template=welcome_email&row=3#message")
    assert faults == []
    for page in (reader, viewer):
        page.context.close()
