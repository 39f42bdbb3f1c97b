"""Signing in with a real browser: a passkey, an authenticator app, recovery codes, and a proof that is asked again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.contrib.auth.models import Group, User
from playwright.sync_api import Browser, Page, expect

from batches.permissions import GROUPS
from tests.acceptance.browser import running_site, take_picture
from tests.openid_provider import CLIENT_ID, CLIENT_SECRET, OpenIdProvider

PASSWORD = "a long one 42"
VIEWS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1440, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1440, "height": 900}},
    "narrow": {"color_scheme": "light", "viewport": {"width": 360, "height": 740}},
    "narrow-dark": {"color_scheme": "dark", "viewport": {"width": 360, "height": 740}},
}


@pytest.fixture(scope="module")
def site(django_db_setup: None) -> Iterator[str]:
    """A site at a name, because browsers refuse passkeys for an IP address."""
    with running_site() as url:
        yield url.replace("127.0.0.1", "localhost")


@pytest.fixture
def page(chromium: Browser, site: str, transactional_db: None) -> Iterator[Page]:
    User.objects.create_user("ann", password=PASSWORD)
    context = chromium.new_context(base_url=site)
    yield context.new_page()
    context.close()


def add_authenticator(page: Page) -> None:
    """Let the browser have a security key that knows its owner (WebAuthn's own interface for tests)."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def enter_password(page: Page) -> None:
    page.goto("/accounts/login/")
    page.fill('[name="username"]', "ann")
    page.fill('[name="password"]', PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def take_pictures(page: Page, name: str) -> None:
    """Save the page in each view."""
    before = page.viewport_size
    for view, options in VIEWS.items():
        page.emulate_media(color_scheme=options["color_scheme"])
        page.set_viewport_size(options["viewport"])
        take_picture(page, f"account-{name}-{view}")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= options["viewport"]["width"], f"{name} is wider than the {view} window: {width}"
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(before or {"width": 1280, "height": 900})


def code_of(secret: str, *, steps: int = 0) -> str:
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps)))


def test_passkey_signs_in_without_a_password(page: Page) -> None:
    add_authenticator(page)
    page.goto("/accounts/login/")
    take_pictures(page, "login")
    enter_password(page)
    page.goto("/accounts/two-factor/")
    take_pictures(page, "factors-none")
    page.get_by_role("link", name="Add a passkey").click()
    page.fill('[name="name"]', "Work laptop")
    page.check('[name="passwordless"]')
    take_pictures(page, "passkey-add")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    assert len((page.locator(".codes").text_content() or "").split()) == 10
    take_pictures(page, "recovery-codes")
    page.get_by_role("link", name="I have kept them").click()
    take_pictures(page, "factors")
    page.get_by_role("link", name="Your passkeys").click()
    expect(page.get_by_role("cell", name="Work laptop")).to_be_visible()
    take_pictures(page, "passkeys")
    page.get_by_role("button", name="Sign out").click()
    page.goto("/templates/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url("**/templates/")
    expect(page.get_by_role("link", name="ann")).to_be_visible()


def test_passkey_is_the_second_factor_after_a_password(page: Page) -> None:
    add_authenticator(page)
    enter_password(page)
    page.goto("/accounts/two-factor/webauthn/add/")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    enter_password(page)
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    take_pictures(page, "second-factor")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("link", name="ann")).to_be_visible()


def test_refused_passkey_is_said_and_the_password_still_works(page: Page) -> None:
    page.goto("/accounts/login/")
    refuse = "navigator.credentials.get = () => Promise.reject(new DOMException('no', 'NotAllowedError'))"
    page.evaluate(f"() => {{ {refuse}; }}")  # as if the user had cancelled
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_text("The passkey was not used.")).to_be_visible()
    enter_password(page)
    expect(page.get_by_role("link", name="ann")).to_be_visible()


def test_app_is_added_and_its_code_signs_in(page: Page) -> None:
    enter_password(page)
    page.goto("/accounts/two-factor/totp/activate/")
    page.get_by_text("If you can't scan it").click()
    secret = page.locator("code").text_content() or ""
    take_pictures(page, "app-add")
    page.fill('[name="code"]', code_of(secret))
    page.get_by_role("button", name="Add the app").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    assert Authenticator.objects.filter(user__username="ann", type="totp").exists()
    page.get_by_role("button", name="Sign out").click()
    enter_password(page)
    page.fill('[name="code"]', "000000")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_text("This code is not right.")).to_be_visible()
    page.fill('[name="code"]', code_of(secret, steps=1))
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("link", name="ann")).to_be_visible()


def test_pages_of_the_account_are_shown(page: Page) -> None:
    enter_password(page)
    page.get_by_role("link", name="ann").click()
    expect(page.get_by_role("heading", name="Change your password")).to_be_visible()
    take_pictures(page, "password")
    page.get_by_role("link", name="Sessions").click()
    expect(page.get_by_text("This session")).to_be_visible()
    take_pictures(page, "sessions")
    page.goto("/accounts/reauthenticate/?next=/batches/")
    take_pictures(page, "reauthenticate")
    page.fill('[name="password"]', PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    page.wait_for_url("**/batches/")


def test_too_many_guesses_are_said_with_the_wait(page: Page) -> None:
    for _ in range(11):
        page.goto("/accounts/login/")
        page.fill('[name="username"]', "somebody else")
        page.fill('[name="password"]', "wrong")
        page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_text("Wait a minute, then try again.")).to_be_visible()
    take_pictures(page, "too-many")


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdProvider]:
    with OpenIdProvider() as running:
        yield running


@pytest.fixture(scope="module")
def openid_site(django_db_setup: None, provider: OpenIdProvider) -> Iterator[str]:
    """A site at which users of the provider may sign in, if they are in its group ``mailers``."""
    more = {
        "OIDC_URL": provider.url,
        "OIDC_NAME": "Town Hall",
        "OIDC_CLIENT_ID": CLIENT_ID,
        "OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "OIDC_GROUPS": "mailers=Senders,bosses=Approvers",
    }
    with running_site(more) as url:
        yield url.replace("127.0.0.1", "localhost")


@pytest.fixture
def openid_page(chromium: Browser, openid_site: str, transactional_db: None) -> Iterator[Page]:
    for name in GROUPS:  # a test that empties the tables takes what the migrations made
        Group.objects.get_or_create(name=name)
    context = chromium.new_context(base_url=openid_site)
    yield context.new_page()
    context.close()


def test_user_of_the_provider_signs_in_with_the_groups_of_the_claim(
    openid_page: Page, provider: OpenIdProvider
) -> None:
    provider.claims = {"groups": ["mailers"], "preferred_username": "ann"}
    openid_page.goto("/templates/")
    take_pictures(openid_page, "login-openid")
    openid_page.get_by_role("link", name="Sign in with Town Hall").click()
    expect(openid_page.get_by_role("heading", name="Town Hall")).to_be_visible()
    openid_page.get_by_role("link", name="I am Ann").click()
    openid_page.wait_for_url("**/templates/")
    expect(openid_page.get_by_role("link", name="ann")).to_be_visible()
    assert [group.name for group in User.objects.get(username="ann").groups.all()] == ["Senders"]
    openid_page.goto("/accounts/connections/")
    expect(openid_page.get_by_role("heading", name="Connected with Town Hall")).to_be_visible()
    take_pictures(openid_page, "connection")


def test_user_of_the_provider_without_a_group_is_refused_with_the_reason(
    openid_page: Page, provider: OpenIdProvider
) -> None:
    provider.claims = {"groups": ["others"], "preferred_username": "eve"}
    openid_page.goto("/accounts/login/")
    openid_page.get_by_role("link", name="Sign in with Town Hall").click()
    openid_page.get_by_role("link", name="I am Ann").click()
    expect(openid_page.get_by_text("none of your groups there may use this site")).to_be_visible()
    take_pictures(openid_page, "refused")
    assert not User.objects.filter(username="eve").exists()


def test_user_of_the_provider_proves_again_at_the_provider(openid_page: Page, provider: OpenIdProvider) -> None:
    provider.claims = {"groups": ["mailers"], "preferred_username": "ann", "auth_time": int(time.time()) - 5000}
    openid_page.goto("/accounts/login/")
    openid_page.get_by_role("link", name="Sign in with Town Hall").click()
    openid_page.get_by_role("link", name="I am Ann").click()
    openid_page.goto("/accounts/two-factor/totp/activate/")
    expect(openid_page.get_by_role("heading", name="Is it still you?")).to_be_visible()
    take_pictures(openid_page, "openid-again")
    provider.claims["auth_time"] = int(time.time())
    openid_page.get_by_role("link", name="Sign in again").click()
    assert "max_age=0" in openid_page.url and "prompt=login" in openid_page.url
    openid_page.get_by_role("link", name="I am Ann").click()
    expect(openid_page.get_by_role("heading", name="Add an app")).to_be_visible()
