"""The do-not-send list in a real browser: an auditor adds an address, finds it, imports a file and takes one off."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from batches.intake import import_csv
from batches.models import EmailTemplate, Suppression, SuppressionReason, Topic
from batches.suppressions import is_suppressed, suppress
from tests.acceptance.browser import take_picture
from tests.conftest import join_groups

pytestmark = pytest.mark.django_db(transaction=True)

WIDTH = 360


@pytest.fixture
def auditor(chromium: Browser, site: str) -> Iterator[Page]:
    """A tab in which an auditor is signed in."""
    Group.objects.get_or_create(name="Auditors")
    Topic.objects.get_or_create(key="news", defaults={"name": "News"})
    user = User.objects.create_user("auditor")
    join_groups(user, "Auditors")
    client = Client()
    client.force_login(user)
    context = chromium.new_context(base_url=site, viewport={"width": 1200, "height": 900})
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site}])
    page = context.new_page()
    page.goto("/do-not-send/")
    yield page
    context.close()


def test_auditor_adds_finds_imports_and_takes_off(auditor: Page) -> None:
    for number in range(3):
        suppress(f"p{number}@example.org", reason=SuppressionReason.UNSUBSCRIBED, source="unsubscribe link")
    suppress("full@example.org", reason=SuppressionReason.BOUNCED, source="mailbox full three times")
    expect(auditor.get_by_text("Nobody is on the list.")).to_be_visible()
    auditor.get_by_text("Add an address", exact=True).click()
    form = auditor.locator("form[action$='/add/']")
    form.get_by_label("Address").fill("Ann Berg <ann@bücher.example>")
    form.get_by_label("Topic").select_option("News")
    form.get_by_label("Note").fill("asked by letter")
    take_picture(auditor, "suppressions-add")
    form.get_by_role("button", name="Add the address").click()
    expect(auditor.get_by_role("status")).to_contain_text("no mail of the topic “News”")
    assert is_suppressed("ann@bücher.example")

    auditor.get_by_text("Import a file", exact=True).click()
    rows = b"email\nbo@example.org\nnobody\n"
    file = {"name": "gone.csv", "mimeType": "text/csv", "buffer": rows}
    auditor.set_input_files("#id_import_file", file)  # type: ignore[arg-type]
    auditor.get_by_role("button", name="Import the file").click()
    expect(auditor.locator("#imported")).to_contain_text("Line 3")

    auditor.get_by_label("Is an address on the list?").fill("ann@bücher.example")
    auditor.get_by_role("button", name="Look").click()
    expect(auditor.locator("#found")).to_contain_text("asked by letter")
    take_picture(auditor, "suppressions")
    auditor.emulate_media(color_scheme="dark")
    take_picture(auditor, "suppressions-dark")
    auditor.set_viewport_size({"width": WIDTH, "height": 800})
    take_picture(auditor, "suppressions-dark-360")
    auditor.emulate_media(color_scheme="light")
    take_picture(auditor, "suppressions-360")
    assert auditor.evaluate("document.documentElement.scrollWidth") <= WIDTH
    auditor.on("dialog", lambda dialog: dialog.accept())
    auditor.locator("#found").get_by_role("button", name="Take off").click()
    expect(auditor.get_by_role("status")).to_contain_text("off the list")
    assert not is_suppressed("ann@bücher.example")


def test_download_has_no_address(auditor: Page) -> None:
    suppress("ann@example.org", reason=SuppressionReason.MANUAL)
    answer = auditor.request.get("/api/suppressions.csv")
    assert answer.status == 200
    text = answer.body().decode("utf-8-sig")
    [heading, row] = text.splitlines()
    assert heading == "digest,topic,reason,source,created_at,ends_at,list"
    assert bytes(Suppression.objects.get().digest).hex() in row
    assert "ann" not in row


def test_sender_reads_who_is_left_out_before_and_after_the_send(chromium: Browser, site: str) -> None:
    Group.objects.get_or_create(name="Senders")
    user = User.objects.create_user("sender")
    join_groups(user, "Senders")
    EmailTemplate.objects.create(key="hello", name="Hello", subject="Hi", text="Hi {{ name }}", is_default=True)
    rows = "".join(f"p{number}@example.org,Person {number}\n" for number in range(12))
    batch = import_csv(io.BytesIO(f"email,name\n{rows}".encode()), filename="members.csv", user=user).batch
    for number, reason in enumerate((SuppressionReason.BOUNCED, SuppressionReason.BOUNCED, SuppressionReason.MANUAL)):
        suppress(f"p{number}@example.org", reason=reason)
    client = Client()
    client.force_login(user)
    context = chromium.new_context(base_url=site, viewport={"width": 1200, "height": 900})
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site}])
    page = context.new_page()
    page.goto(f"/batches/{batch.pk}/review/")
    expect(page.locator("#suppressed")).to_have_text(
        "on the do-not-send list: 2 with mail that came back, 1 entered by hand"
    )
    expect(page.get_by_role("button", name="Send to 9 recipients")).to_be_visible()
    take_picture(page, "suppressed-review")
    page.set_viewport_size({"width": WIDTH, "height": 800})
    take_picture(page, "suppressed-review-360")
    page.get_by_role("button", name="Send to 9 recipients").click()
    expect(page.locator("#left-out")).to_contain_text("2 with mail that came back, 1 entered by hand")
    take_picture(page, "suppressed-batch-360")
    page.goto(f"/batches/{batch.pk}/?status=suppressed")
    expect(page.locator("#rows")).to_contain_text("Earlier mail to this address came back")
    page.set_viewport_size({"width": 1200, "height": 800})
    take_picture(page, "suppressed-batch")
    context.close()
