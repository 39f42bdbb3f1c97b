"""The first page in a browser: its upload can be cancelled, the batch has a name, and addresses can be pasted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, FilePayload, Page, expect

from batches.models import EmailTemplate

PEOPLE = "email,name\nzoe@example.org,Zoë\nkofi@example.org,Kofi\n"


@pytest.fixture
def page(chromium: Browser, site: str, transactional_db: None, sender: User) -> Iterator[Page]:
    """A tab in which the sender is signed in."""
    client = Client()
    client.force_login(sender)
    context = chromium.new_context(base_url=site)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site}])
    yield context.new_page()
    context.close()


def test_upload_can_be_cancelled_while_it_runs(page: Page, welcome: EmailTemplate) -> None:
    page.goto("/")
    long = f"email,name\n{'x' * 40_000_000}".encode()
    page.set_input_files("#id_file", {"name": "long.csv", "mimeType": "text/csv", "buffer": long})
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#upload-error")).to_have_text("The upload was stopped. Nothing was sent.")
    expect(page.get_by_role("button", name="Upload")).to_be_enabled()


def test_batch_is_named_after_its_file_until_a_name_is_typed(page: Page, welcome: EmailTemplate) -> None:
    page.goto("/")
    people: FilePayload = {"name": "Parents 2026.csv", "mimeType": "text/csv", "buffer": PEOPLE.encode()}
    page.set_input_files("#id_file", people)
    expect(page.locator("#id_name")).to_have_value("Parents 2026")
    page.fill("#id_name", "Summer fair")
    page.set_input_files("#id_file", {**people, "name": "Other.csv"})
    expect(page.locator("#id_name")).to_have_value("Summer fair")
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("h1")).to_have_text("Summer fair")


def test_addresses_are_taken_when_they_are_pasted(page: Page, welcome: EmailTemplate) -> None:
    page.goto("/")
    page.click("text=Or type or paste addresses")
    page.fill("#id_pasted", '"Berg, Ann" <ann@example.org>\n"Dahl, Bo" <bo@example.org>')
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#send")).to_have_text("Send to 2 recipients")
