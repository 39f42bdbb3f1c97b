"""The ways on from a batch in a browser: the question of Cancel, another time, back to a draft, a copy, a group."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from batches.models import Batch, BatchStatus, EmailStatus, JobStatus, Lane
from tests.acceptance.browser import publish, take_picture
from tests.conftest import MakeBatch, MakeJob


@pytest.fixture
def page(transactional_db: None, sender: User, site: str, chromium: Browser) -> Iterator[Page]:
    """A tab in which the sender is signed in."""
    client = Client()
    client.force_login(sender)
    context = chromium.new_context(base_url=site)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site}])
    yield context.new_page()
    context.close()


@pytest.fixture
def scheduled(make_batch: MakeBatch, make_job: MakeJob) -> Batch:
    batch = make_batch(BatchStatus.SCHEDULED, pending=3)
    make_job(batch, JobStatus.SCHEDULED, scheduled_at=timezone.now() + timedelta(days=1))
    return batch


def test_question_says_how_many_and_closes_by_a_click_outside(
    page: Page, make_batch: MakeBatch, make_job: MakeJob
) -> None:
    batch = make_batch(BatchStatus.PROCESSING, sent=4, pending=6)
    lane = Lane.objects.create(job=make_job(batch, JobStatus.PROCESSING), number=0)
    page.goto(f"/batches/{batch.pk}/")
    expect(page).to_have_title(re.compile("^40 % · list.csv"))
    page.click("summary:has-text('Cancel')")
    question = page.get_by_text("People who have not got the email yet:")
    expect(question).to_contain_text("People who have not got the email yet: 6.")
    Lane.objects.filter(pk=lane.pk).update(sent_count=2)
    publish(batch.pk)
    expect(question).to_contain_text("People who have not got the email yet: 4.")
    expect(page).to_have_title(re.compile("^60 % · list.csv"))
    page.click("h1")
    expect(question).to_be_hidden()
    page.click("summary:has-text('Cancel')")
    page.keyboard.press("Escape")
    expect(question).to_be_hidden()
    page.click("summary:has-text('Cancel')")
    page.get_by_role("button", name="Stop sending").click()
    expect(page.locator("#status")).to_have_text("Cancelled")
    expect(page.locator(".notice.success")).to_contain_text("People who had not got the email yet will not get it.")


def test_scheduled_batch_gets_another_time_and_becomes_a_draft(page: Page, scheduled: Batch) -> None:
    page.goto(f"/batches/{scheduled.pk}/")
    page.click("summary:has-text('Change the time')")
    page.fill("#id_scheduled_at", "2099-03-31T09:00")
    take_picture(page, "change-time")
    page.get_by_role("button", name="Save the time").click()
    expect(page.locator(".notice.success")).to_contain_text("31 March 2099")
    expect(page.locator("#waiting-for")).to_contain_text("The emails go out on Tuesday 31 March 2099")
    page.get_by_role("button", name="Back to draft").click()
    expect(page.locator(".notice.success")).to_contain_text("is a draft again")
    expect(page.get_by_role("button", name="Send to 3 recipients")).to_be_visible()


def test_cancelled_batch_says_so_and_is_copied_to_a_new_draft(
    page: Page, make_batch: MakeBatch, make_job: MakeJob
) -> None:
    batch = make_batch(BatchStatus.CANCELLED, cancelled=6)
    make_job(batch, JobStatus.CANCELLED, completed_at=timezone.now())
    page.goto(f"/batches/{batch.pk}/")
    expect(page.locator("#progress")).to_contain_text(re.compile(r"0\s*sent\s*6 not sent"))
    expect(page.locator('[data-count="percent"]')).to_be_hidden()
    page.get_by_role("button", name="Copy to a new draft").click()
    expect(page.locator("h1")).to_have_text("Copy of list.csv")
    page.get_by_role("button", name="Send to 6 recipients").click()
    expect(page.locator(".notice.success")).to_contain_text("The emails to 6 recipients are being sent.")
    page.goto("/batches/")
    row = page.locator(f'[data-batch="{batch.pk}"]')
    expect(row).to_contain_text("0 of 6 sent")
    expect(row).to_contain_text("6 not sent")


def test_group_of_failures_is_sent_again(page: Page, make_batch: MakeBatch, make_job: MakeJob) -> None:
    batch = make_batch(BatchStatus.COMPLETED, sent=2, failed=5)
    make_job(batch, JobStatus.COMPLETED, completed_at=timezone.now())
    batch.emails.filter(status=EmailStatus.FAILED).update(code=550, reply="No such user", attempts=1)
    batch.emails.filter(row__gt=6).update(code=552, reply="Mailbox full", attempts=1)
    page.goto(f"/batches/{batch.pk}/")
    expect(page.locator("#status")).to_have_text("Completed, 5 failed")
    group = page.locator("#failures li").filter(has_text="550 No such user")
    expect(group).to_contain_text("at example.org: 3")
    group.get_by_role("link", name="Recipients").click()
    expect(page.locator("h1")).to_have_text("550 No such user")
    expect(page.locator("#rows tbody tr")).to_have_count(3)
    page.go_back()
    group.get_by_role("button", name="Send again").click()
    expect(page.locator(".notice.success")).to_contain_text("3 emails are being sent again.")
    expect(page.locator("#jobs")).to_contain_text("The failed sent again: 550 No such user")


def test_message_is_shown_for_a_person_and_its_links_open_in_a_tab(
    page: Page, make_batch: MakeBatch, make_job: MakeJob, site: str
) -> None:
    batch = make_batch(BatchStatus.COMPLETED, sent=3)
    job = make_job(batch, JobStatus.COMPLETED, completed_at=timezone.now())
    link = f'<a href="{site}/templates/">Press {{{{ name }}}}</a>'
    type(job).objects.filter(pk=job.pk).update(html=link)
    page.goto(f"/batches/{batch.pk}/")
    page.fill("#show-for", "person3@example.org")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#message")).to_contain_text("Hello Person 3")
    pressed = page.frame_locator("#message iframe").get_by_role("link", name="Press Person 3")
    with page.expect_popup() as popup:
        pressed.click()
    popup.value.wait_for_url("**/templates/")
    assert popup.value.evaluate("window.opener") is None
