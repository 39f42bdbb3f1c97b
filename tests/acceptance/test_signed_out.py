"""The session ends in the middle, and nothing that was typed or chosen is lost: walks with a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from playwright.sync_api import Browser, Page, expect

from batches.models import Batch, BatchStatus, EmailTemplate
from tests.acceptance.browser import running_site
from tests.conftest import MakeBatch

PASSWORD = "a long one 42"
LIST = b"email,name\neva@example.com,Eva\n"


@pytest.fixture(scope="module")
def site(django_db_setup: None) -> Iterator[str]:
    with running_site() as url:
        yield url


@pytest.fixture
def maria(transactional_db: None) -> User:
    user = User.objects.create_superuser("maria", password=PASSWORD)
    EmailTemplate.objects.create(key="news", name="News", subject="News", text="Dear {{ name }}", is_default=True)
    return user


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def any_page(request: pytest.FixtureRequest, chromium: Browser, site: str, maria: User) -> Iterator[Page]:
    """A tab in which maria is signed in, with and without scripts."""
    context = chromium.new_context(base_url=site, java_script_enabled=request.param)
    yield sign_in(open_sign_in(context.new_page()))
    context.close()


@pytest.fixture
def page(chromium: Browser, site: str, maria: User) -> Iterator[Page]:
    context = chromium.new_context(base_url=site)
    yield sign_in(open_sign_in(context.new_page()))
    context.close()


def open_sign_in(page: Page) -> Page:
    page.goto("/accounts/login/")
    return page


def sign_in(page: Page, name: str = "maria") -> Page:
    page.wait_for_url(re.compile("/accounts/login/"))
    page.fill('[name="username"]', name)
    page.fill('[name="password"]', PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    return page


def end_sessions() -> None:
    Session.objects.all().delete()


def test_letter_is_in_its_form_when_the_user_is_back(any_page: Page) -> None:
    page = any_page
    page.goto("/templates/new/")
    page.fill('[name="name"]', "Autumn fair")
    page.fill('[name="subject"]', "Come & see “us”")
    end_sessions()
    page.get_by_role("button", name=re.compile("^Save")).first.click()
    expect(page.get_by_text("what you typed comes back")).to_be_visible()
    sign_in(page)
    expect(page.locator("#kept-form")).to_contain_text("What you typed is back in its form.")
    expect(page.locator('[name="name"]')).to_have_value("Autumn fair")
    expect(page.locator("#id_subject")).to_have_value("Come & see “us”")
    assert not EmailTemplate.objects.filter(name="Autumn fair").exists()


def test_letter_stays_hidden_when_another_user_signs_in(any_page: Page) -> None:
    page = any_page
    User.objects.create_user("eve", password=PASSWORD)
    page.goto("/templates/new/")
    page.fill('[name="name"]', "Autumn fair")
    page.fill('[name="subject"]', "Come")
    end_sessions()
    page.get_by_role("button", name=re.compile("^Save")).first.click()
    sign_in(page, "eve")
    expect(page.locator("#kept-form")).to_have_count(0)
    expect(page.locator('[name="name"]')).to_have_value("")


def test_message_is_in_the_review_when_the_user_is_back(any_page: Page, maria: User, make_batch: MakeBatch) -> None:
    page = any_page
    batch = make_batch(BatchStatus.DRAFT, pending=1, owner=maria)
    page.goto(f"/batches/{batch.pk}/review/")
    end_sessions()
    subject = page.locator("#id_subject")
    subject.fill("Another subject")
    page.locator("#show").click()
    sign_in(page)
    expect(page.locator("#id_subject")).to_have_value("Another subject")
    assert Batch.objects.get(pk=batch.pk).status == BatchStatus.DRAFT


def test_button_says_that_nothing_was_done_when_the_user_is_back(
    any_page: Page, maria: User, make_batch: MakeBatch
) -> None:
    page = any_page
    batch = make_batch(BatchStatus.PROCESSING, pending=2, owner=maria)
    page.goto(f"/batches/{batch.pk}/")
    end_sessions()
    page.get_by_role("button", name="Pause").click()
    sign_in(page)
    expect(page.locator("#kept-form")).to_contain_text("You were signed out; nothing was done.")
    assert page.url.endswith(f"/batches/{batch.pk}/")
    assert Batch.objects.get(pk=batch.pk).status == BatchStatus.PROCESSING


def test_upload_keeps_its_file_when_the_user_signs_in_in_another_tab(page: Page) -> None:
    page.goto("/")
    page.set_input_files("#id_file", {"name": "members.csv", "mimeType": "text/csv", "buffer": LIST})
    end_sessions()
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#upload-error")).to_have_text("You were signed out, and nothing was uploaded.")
    assert not Batch.objects.exists()
    with page.context.expect_page() as opened:
        page.locator("#signed-out a").click()
    sign_in(opened.value)
    opened.value.close()
    page.bring_to_front()
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(page.locator("#upload-error")).to_have_text(re.compile("You are signed in again"))
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url(re.compile(r"/batches/\d+/review/"))
    assert Batch.objects.get().total_count == 1


def test_open_page_of_a_batch_says_so_when_the_session_ends(page: Page, maria: User, make_batch: MakeBatch) -> None:
    batch = make_batch(BatchStatus.PROCESSING, pending=2, owner=maria)
    page.goto(f"/batches/{batch.pk}/")
    end_sessions()
    expect(page.locator("#signed-out")).to_contain_text("You were signed out.", timeout=90_000)


def test_form_is_filled_again_when_the_user_signed_in_in_another_tab(any_page: Page) -> None:
    page = any_page
    page.goto("/templates/new/")
    page.fill('[name="name"]', "Autumn fair")
    page.fill('[name="subject"]', "Come")
    other = page.context.new_page()
    other.goto("/")
    other.get_by_role("button", name="Sign out").click()
    sign_in(other)
    page.get_by_role("button", name=re.compile("^Save")).first.click()
    expect(page.locator("#kept-form")).to_contain_text("You have signed in again since this page was opened")
    expect(page.locator('[name="name"]')).to_have_value("Autumn fair")
