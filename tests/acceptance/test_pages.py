"""The pages in a real browser on a real daphne: with scripts and without, with a socket and without."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page, expect

from batches.models import Batch, BatchStatus, EmailStatus, EmailTemplate, JobStatus
from batches.wording import say_duration
from tests.acceptance.browser import publish, take_picture
from tests.conftest import MakeBatch, MakeJob

PEOPLE = "Name,E-Mail\nZoë,zoe@example.org\nNed,ned@@example\n田中,tanaka@example.org\n"
VIEWS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "narrow": {"color_scheme": "light", "viewport": {"width": 360, "height": 740}},
}


@pytest.fixture
def cookie(transactional_db: None, sender: User, site: str) -> dict[str, str]:
    """The cookie of the sender's session."""
    client = Client()
    client.force_login(sender)
    return {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site}


@pytest.fixture
def context(chromium: Browser, site: str, cookie: Any) -> Iterator[BrowserContext]:
    context = chromium.new_context(base_url=site)
    context.add_cookies([cookie])
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A tab in which the sender is signed in."""
    return context.new_page()


@pytest.fixture
def running(make_batch: MakeBatch, make_job: MakeJob) -> Batch:
    """A batch that is half done: of 10 emails, 4 are sent and 1 failed."""
    batch = make_batch(BatchStatus.PROCESSING, sent=4, failed=1, pending=5)
    make_job(batch, JobStatus.PROCESSING)
    return batch


def finish_sending(batch: Batch) -> None:
    """Change the tables as the last ledger cycle of a job does, and publish the snapshot."""
    batch.emails.filter(status=EmailStatus.PENDING).update(status=EmailStatus.SENT, code=250, reply="Ok")
    batch.jobs.update(status=JobStatus.COMPLETED, completed_at=timezone.now())
    Batch.objects.filter(pk=batch.pk).update(status=BatchStatus.COMPLETED, sent_count=9)
    publish(batch.pk)


def expect_done(page: Page) -> None:
    expect(page.locator('[data-count="percent"]')).to_have_text("100", timeout=20_000)
    expect(page.locator("#status")).to_contain_text("Completed")
    expect(page.locator('[data-segment="sent"]')).to_have_attribute("width", "90.000%")
    expect(page.locator("#meter")).to_have_attribute("value", "10")


def upload(page: Page, *, then: str) -> None:
    page.goto("/")
    page.set_input_files("#id_file", {"name": "people.csv", "mimeType": "text/csv", "buffer": PEOPLE.encode()})
    page.check(f'input[name="then"][value="{then}"]')
    page.get_by_role("button", name="Upload").click()


def record_sentences(page: Page) -> list[str]:
    """Return a list that gets each sentence about the upload, as soon as the page shows it."""
    said: list[str] = []
    page.expose_function("record", lambda sentence: said.append(sentence))
    page.evaluate(
        """() => {
             const place = document.getElementById("upload-said");
             new MutationObserver(() => window.record(place.textContent)).observe(place, {childList: true});
           }"""
    )
    return said


def test_login_redirects_to_the_requested_page(chromium: Browser, site: str, transactional_db: None) -> None:
    User.objects.create_user("mia", password="a long one 42")
    context = chromium.new_context(base_url=site)
    page = context.new_page()
    page.goto("/templates/")
    page.fill('[name="username"]', "mia")
    page.fill('[name="password"]', "a long one 42")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Templates")
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("h1")).to_have_text("Sign in")
    context.close()


def test_page_reaches_the_end_without_a_reload(page: Page, running: Batch) -> None:
    page.goto(f"/batches/{running.pk}/?status=pending")
    page.evaluate("window.isSamePage = true")
    expect(page.locator('[data-count="percent"]')).to_have_text("50")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    finish_sending(running)
    expect_done(page)
    expect(page.get_by_role("button", name="Pause")).to_be_hidden()
    expect(page.get_by_role("button", name="Send the failed again")).to_be_visible()
    # The page fetches the table only while it is in sight, and at most once in some seconds.
    page.locator("#rows").scroll_into_view_if_needed()
    expect(page.locator("#rows")).to_contain_text("No recipient has this status.", timeout=15_000)
    assert page.evaluate("window.isSamePage")


@pytest.mark.parametrize("blocked", ["socket", "socket and stream"])
def test_page_reaches_the_end_when_a_channel_is_blocked(blocked: str, page: Page, running: Batch) -> None:
    page.route_web_socket(re.compile("/ws/"), lambda socket: socket.close())
    if "stream" in blocked:
        page.route("**/stream", lambda route: route.abort())
    page.goto(f"/batches/{running.pk}/")
    finish_sending(running)
    expect_done(page)


def test_older_snapshot_changes_nothing(page: Page, running: Batch) -> None:
    newest = '{"batchId": %d, "status": "processing", "processed": %d, "total": 10, "sent": %d, "failed": 1, '
    newest += '"unknown": 0, "pending": 2, "ratePerSecond": 3, "etaSeconds": 5, "finish": "Soon", "sequence": %d}'
    far = 10**18
    page.route_web_socket(
        re.compile("/ws/"),
        lambda socket: [socket.send(newest % (running.pk, sent + 1, sent, far + n)) for sent, n in ((7, 2), (6, 1))],  # type: ignore[func-returns-value]
    )
    page.goto(f"/batches/{running.pk}/")
    expect(page.locator('[data-count="sent"]')).to_have_text("7")
    expect(page.locator('#rows [data-live="sent"]')).to_have_text("7")
    expect(page.locator("#rate")).to_have_text("180 a minute")


def test_reason_to_wait_appears_and_vanishes_while_the_page_is_open(page: Page, running: Batch) -> None:
    page.goto(f"/batches/{running.pk}/")
    expect(page.locator("#waiting-for")).to_be_hidden()
    running.jobs.update(last_error="The limit is used up.", relay_retry_at=timezone.now() + timedelta(days=500))
    sentence = re.compile(r"^The limit is used up\. Next try on \w+ \d+ \w+ \d+ at \d\d:\d\d\. 5 are waiting\.$")
    expect(page.locator("#waiting-for")).to_have_text(sentence)
    expect(page.locator("#progress [data-words=finish]")).to_have_text(re.compile(r"^Done on \w+ \d+ \w+ \d+\.$"))
    running.jobs.update(last_error="", relay_retry_at=None)
    expect(page.locator("#waiting-for")).to_be_hidden()


@pytest.mark.parametrize("seconds", [0.2, 9.4, 89.4, 90, 3599, 5399, 7200, 7800, 86_399, 3600 * 1500])
def test_script_says_a_duration_as_the_server_does(seconds: float, page: Page) -> None:
    page.goto("/")
    script = "async (seconds) => (await import('/static/js/counts.js')).sayDuration(seconds)"
    assert page.evaluate(script, seconds) == say_duration(seconds)


def test_missing_worker_is_shown(page: Page, make_batch: MakeBatch, make_job: MakeJob) -> None:
    batch = make_batch(BatchStatus.PENDING, pending=3)
    make_job(batch, JobStatus.QUEUED)
    page.goto(f"/batches/{batch.pk}/")
    expect(page.locator("#waiting-for")).to_contain_text("Sending is switched off at the moment")


@pytest.mark.parametrize("view", ["light", "narrow"])
def test_question_closes_and_nothing_changes_when_the_answer_is_no(
    view: str, chromium: Browser, site: str, cookie: Any, running: Batch
) -> None:
    context = chromium.new_context(base_url=site, **VIEWS[view])
    context.add_cookies([cookie])
    page = context.new_page()
    page.goto(f"/batches/{running.pk}/")
    page.evaluate("window.isSamePage = true")
    question = page.get_by_text("They will not get it.")
    page.click("summary:has-text('Cancel')")
    expect(question).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.get_by_role("link", name="Keep sending").click()
    expect(question).to_be_hidden()
    page.click("summary:has-text('Cancel')")
    page.keyboard.press("Escape")
    expect(question).to_be_hidden()
    assert page.evaluate("window.isSamePage")
    context.close()
    running.refresh_from_db()
    assert running.status == BatchStatus.PROCESSING


def test_list_shows_progress_and_new_batches_without_a_reload(
    page: Page, running: Batch, make_batch: MakeBatch
) -> None:
    page.goto("/")
    row = page.locator(f'[data-batch="{running.pk}"]')
    expect(row.locator(".pill")).to_contain_text("Processing")
    finish_sending(running)
    expect(row.locator(".pill")).to_contain_text("Completed")
    expect(row).to_contain_text("9 of 10 sent")
    newer = make_batch(BatchStatus.PENDING, pending=2)
    publish(newer.pk)
    expect(page.locator("#cards tr").first).to_have_attribute("data-batch", str(newer.pk))


def test_upload_leads_to_the_review(page: Page, welcome: EmailTemplate) -> None:
    upload(page, then="review")
    page.wait_for_url(re.compile(r"/batches/\d+/review/\?template="))
    assert Batch.objects.get().status == BatchStatus.DRAFT


def test_upload_is_sent_when_sending_at_once_is_chosen(page: Page, welcome: EmailTemplate) -> None:
    upload(page, then="send")
    expect(page.locator(".facts")).to_contain_text("Subject")
    page.get_by_role("button", name="Send to 2 recipients").click()
    page.wait_for_url(re.compile(r"/batches/\d+/$"))
    expect(page.locator('[data-words="summary"]')).to_have_text("0 of 2 done")
    expect(page.locator("#waiting-for")).to_contain_text("Sending is switched off at the moment")


def test_upload_shows_its_bytes_and_then_the_reading_of_rows(page: Page, welcome: EmailTemplate) -> None:
    page.goto("/")
    said = record_sentences(page)
    page.set_input_files(
        "#id_file", {"name": "people.csv", "mimeType": "text/csv", "buffer": (PEOPLE + "x" * 5_000_000).encode()}
    )
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#upload-error")).to_be_visible()
    assert any(sentence.startswith("Uploading:") for sentence in said)
    assert any("Reading the rows" in sentence for sentence in said)


def test_rows_are_counted_while_they_are_imported(page: Page, welcome: EmailTemplate) -> None:
    lines = "".join(f"user{number}@example.org,Name {number}\n" for number in range(300_000))
    page.goto("/")
    said = record_sentences(page)
    page.set_input_files(
        "#id_file", {"name": "long.csv", "mimeType": "text/csv", "buffer": f"email,name\n{lines}".encode()}
    )
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url(re.compile(r"/review/"), timeout=60_000)
    assert any(re.match("Reading the rows: [1-9][0-9,]+ so far", sentence) for sentence in said)
    expect(page.locator("#send")).to_have_text("Send to 300,000 recipients")


def test_encoding_can_be_chosen_when_the_file_is_refused(page: Page, welcome: EmailTemplate) -> None:
    page.goto("/")
    expect(page.locator("#id_encoding")).to_be_hidden()
    odd = b"name,email\n" + "Zoë,zoe@example.org\n".encode() * 9 + b"Zo\xeb,zoe2@example.org\n"
    page.set_input_files("#id_file", {"name": "odd.csv", "mimeType": "text/csv", "buffer": odd})
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#upload-error")).to_contain_text("Line 11 is not valid utf-8. Choose the encoding")
    page.select_option("#id_encoding", "cp1252")
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#list")).to_contain_text("File read as Western European (Windows-1252)")


def test_reason_is_shown_and_the_input_is_kept_when_a_file_is_refused(page: Page, welcome: EmailTemplate) -> None:
    page.goto("/")
    page.fill("#id_subject", "Typed with care")
    page.set_input_files("#id_file", {"name": "photo.csv", "mimeType": "text/csv", "buffer": b"PK\x03\x04\x00\x00zip"})
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#upload-error")).to_be_visible()
    expect(page.locator("#upload-error")).not_to_be_empty()
    expect(page.locator("#id_subject")).to_have_value("Typed with care")
    expect(page.get_by_role("button", name="Upload")).to_be_enabled()
    assert not Batch.objects.exists()


def test_list_is_corrected_reviewed_and_sent(page: Page) -> None:
    EmailTemplate.objects.create(
        key="codes", name="Codes", is_default=True, subject="{{ name }}: {{ code }}", html="<p>{{ code }}</p>"
    )
    page.goto("/")
    people = "Name;E-Mail;Sign-up code\nZoë;zoe@example.org;007\nNed;ned@@example;8\nKofi;kofi@example.org;009\n"
    page.set_input_files("#id_file", {"name": "l.csv", "mimeType": "text/csv", "buffer": people.encode("cp1252")})
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#message")).to_contain_text("The letter uses a field for which the list has no column: code")
    expect(page.get_by_role("button", name="Send to 2 recipients")).to_be_disabled()
    page.fill('[name="field-sign_up_code"]', "code")
    page.click("text=Save the names")
    expect(page.locator(".mail")).to_contain_text("Zoë: 007")
    expect(page.frame_locator(".mail iframe").locator("p")).to_have_text("007")
    page.click("text=Next →")
    expect(page.locator(".mail")).to_contain_text("Kofi: 009")
    page.fill("#id_subject", "For {{ name }}")
    page.locator("#id_subject").blur()
    expect(page.locator(".mail")).to_contain_text("For Kofi")
    page.click("text=Add corrected or more rows")
    corrected = "Name;E-Mail;Sign-up code;line;reason\nNed;ned@example.org;8;3;Two signs.\n"
    page.set_input_files("#more-rows", {"name": "corrected.csv", "mimeType": "text/csv", "buffer": corrected.encode()})
    page.click("text=Add the rows")
    expect(page.locator("#list")).not_to_contain_text("rejected")
    page.get_by_role("button", name="Send a test").click()
    expect(page.locator(".notice.success")).to_contain_text("A test is on its way to sender@example.org")
    page.get_by_role("button", name="Send to 3 recipients").click()
    expect(page.locator("#status")).to_contain_text("Pending")
    expect(page.locator('[data-words="summary"]')).to_have_text("0 of 3 done")


def test_pages_work_without_a_script(
    chromium: Browser, site: str, cookie: Any, welcome: EmailTemplate, running: Batch
) -> None:
    context = chromium.new_context(base_url=site, java_script_enabled=False)
    context.add_cookies([cookie])
    page = context.new_page()
    upload(page, then="send")
    expect(page.locator(".facts")).to_contain_text("Subject")
    page.get_by_role("button", name="Send to 2 recipients").click()
    expect(page.locator("#status")).to_contain_text("Pending")
    expect(page.locator('[data-words="summary"]')).to_have_text("0 of 2 done")
    page.click("summary:has-text('Cancel')")
    page.get_by_role("button", name="Stop sending").click()
    expect(page.locator("#status")).to_contain_text("Cancelled")
    page.goto(f"/batches/{running.pk}/")
    page.locator(".tabs a", has_text="Failed").click()
    expect(page.locator("#rows tbody tr")).to_have_count(1)
    context.close()


def test_preview_runs_no_script_and_keeps_its_style(page: Page, sender: User, welcome: EmailTemplate) -> None:
    EmailTemplate.objects.update(owner=sender)  # the form of another's template is disabled
    page.goto("/templates/welcome_email/edit/")
    page.fill("#id_html", '<p style="color: rgb(1, 2, 3)">{{ name }}</p><script>parent.document.title="run"</script>')
    page.get_by_role("button", name="Preview", exact=True).click()
    message = page.frame_locator('iframe[name="preview"]').frame_locator("iframe")
    expect(message.locator("p")).to_have_text("Ada Lovelace")
    expect(message.locator("p")).to_have_css("color", "rgb(1, 2, 3)")
    assert "run" not in page.title()


@pytest.mark.parametrize("view", VIEWS)
def test_pages_fit_the_screen_and_the_policy(
    view: str, chromium: Browser, site: str, cookie: Any, running: Batch, make_batch: MakeBatch, welcome: EmailTemplate
) -> None:
    """Also saves a picture of each page in SCREENSHOT_DIR, if that is set."""
    context = chromium.new_context(base_url=site, **VIEWS[view])
    context.add_cookies([cookie])
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    for name, path in {
        "home": "/",
        "batches": "/batches/",
        "batch": f"/batches/{running.pk}/",
        "review": f"/batches/{make_batch(pending=3, rejected=2).pk}/review/",
        "templates": "/templates/",
        "template": "/templates/welcome_email/edit/",
        "new-template": "/templates/new/",
        "password": "/accounts/password/",
    }.items():
        page.goto(path)
        surplus = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert surplus <= 0, f"{path} is {surplus} pixels too wide"
        if directory := os.environ.get("SCREENSHOT_DIR"):
            page.screenshot(path=Path(directory) / f"{name}-{view}.png", full_page=True)
    context.close()
    assert faults == []


def test_reasons_and_the_menu_are_in_sight_when_the_screen_is_narrow(
    chromium: Browser, site: str, cookie: Any, sender: User, make_batch: MakeBatch
) -> None:
    User.objects.update(is_staff=True)
    batch = make_batch(BatchStatus.COMPLETED, failed=1, rejected=1)
    reply = "550 5.1.1 The mailbox of this recipient does not exist on this server."
    batch.emails.update(reply=reply, attempts=1, completed_at=timezone.now())
    context = chromium.new_context(base_url=site, **VIEWS["narrow"])
    context.add_cookies([cookie])
    page = context.new_page()
    for status, sentence in (("failed", reply), ("rejected", "No @ in it.")):
        page.goto(f"/batches/{batch.pk}/?status={status}")
        reason = page.locator("td.reason")
        expect(reason).to_have_text(sentence)
        assert reason.evaluate("cell => cell.getBoundingClientRect().right <= innerWidth")
        take_picture(page, f"narrow-{status}")
        page.locator(".top summary", has_text="More").click()
        expect(page.get_by_role("link", name="Admin")).to_be_in_viewport(ratio=1)
    page.set_viewport_size({"width": 1440, "height": 900})
    expect(page.locator("td.reason")).to_be_visible()
    context.close()
