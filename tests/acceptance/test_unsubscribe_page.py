"""A recipient unsubscribes by the page, in a real browser without scripts and in German, and takes it back."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from batches import redis_client
from batches.models import Suppression, Topic
from batches.models.topic import NEWS_TOPIC
from batches.suppressions import find_digest
from batches.unsubscribe_tokens import make_token
from batches.web.unsubscribe import CHANGES, PAGES, WRONG_TOKENS
from tests.acceptance.browser import running_site, take_picture

ADDRESS = "ann@example.org"
KEY = "a-key-of-the-tests"

pytestmark = pytest.mark.django_db(transaction=True)

OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def site(django_db_setup: None) -> Iterator[str]:
    with running_site({"UNSUBSCRIBE_KEYS": KEY}) as url:
        yield url


@pytest.fixture(autouse=True)
def no_counts() -> None:
    """Forget how many pages this machine has opened: all tests of a run are one client."""
    with redis_client.connect() as client:
        client.delete(*(f"emailbatch:{rate.name}:127.0.0.1" for rate in (CHANGES, PAGES, WRONG_TOKENS)))


@pytest.fixture
def topics() -> dict[str, Topic]:
    """The topic of the migration, which an earlier test may have emptied, and two of the site's own."""
    news, _ = Topic.objects.get_or_create(key=NEWS_TOPIC, defaults={"name": "News"})
    club = Topic.objects.create(key="club", name="Vereinsabende", description="Einmal im Monat: wer, wann und wo.")
    shop = Topic.objects.create(key="shop", name="Donaudampfschifffahrtsgesellschaftskapitänsmützenverkauf")
    return {"news": news, "club": club, "shop": shop}


@pytest.fixture
def link(site: str, topics: dict[str, Topic]) -> str:
    return f"{site}/u/{make_token(topics['news'].pk, find_digest(ADDRESS), keys=[KEY])}"


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[OpenPage]:
    """Open a tab as a recipient does: another program than ours, no session, and here no script either."""
    contexts = []

    def open_in(link: str, *, language: str = "de-DE", width: int = 1200, dark: bool = False) -> Page:
        context = chromium.new_context(
            locale=language,
            java_script_enabled=False,
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
        )
        contexts.append(context)
        page = context.new_page()
        page.goto(link)
        return page

    yield open_in
    for context in contexts:
        context.close()


def objections() -> list[str | None]:
    return sorted(Suppression.objects.values_list("topic__key", flat=True), key=str)


def test_recipient_unsubscribes_in_german_and_takes_it_back(link: str, open_page: OpenPage) -> None:
    page = open_page(link)
    expect(page.get_by_role("heading", level=1)).to_have_text("Von „Neuigkeiten“ abmelden?")
    assert objections() == []
    page.get_by_role("button", name="Abmelden", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Sie erhalten keine Nachrichten zu „Neuigkeiten“ mehr.")
    assert objections() == ["news"]
    page.get_by_role("button", name="Rückgängig machen").click()
    expect(page.get_by_role("status")).to_contain_text("Ihre Auswahl ist gespeichert.")
    expect(page.get_by_role("heading", level=1)).to_have_text("Von „Neuigkeiten“ abmelden?")
    assert objections() == []

    page.get_by_label("Vereinsabende").uncheck()
    page.get_by_role("button", name="Speichern").click()
    assert objections() == ["club"]
    page.get_by_role("button", name="Von allen Neuigkeiten abmelden").click()
    expect(page.get_by_role("status")).to_contain_text("Sie erhalten von uns keine Neuigkeiten mehr.")
    assert objections() == [None, "club"]
    page.get_by_role("button", name="Rückgängig machen").click()
    expect(page.get_by_label("Vereinsabende")).not_to_be_checked()
    expect(page.get_by_label("Neuigkeiten", exact=True)).to_be_checked()
    assert objections() == ["club"]
    assert page.context.cookies() == []


def test_programs_that_look_at_every_link_unsubscribe_nobody(site: str, topics: dict[str, Topic]) -> None:
    links = [
        f"{site}/u/{make_token(topics['news'].pk, find_digest(f'person{number}@example.org'), keys=[KEY])}"
        for number in range(50)
    ]
    for method in ("GET", "HEAD"):
        for each in links:
            with urllib.request.urlopen(urllib.request.Request(each, method=method), timeout=10) as answer:  # noqa: S310
                assert (answer.status, answer.headers["Set-Cookie"]) == (200, None)
    assert objections() == []


def test_mail_program_unsubscribes_by_one_request(link: str) -> None:
    """RFC 8058, section 3.1: neither a cookie nor a redirect, and a form in either encoding."""
    for content_type, body in (
        ("application/x-www-form-urlencoded", b"List-Unsubscribe=One-Click"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n',
        ),
        ("multipart/form-data; boundary*=bogus''b%41", b"--bA--\r\n"),  # a charset that is none
        ("multipart/form-data; boundary=b; charset=hex", b"--b--\r\n"),  # one that is none of text
    ):
        Suppression.objects.all().delete()
        request = urllib.request.Request(link, body, {"Content-Type": content_type})  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            assert (answer.status, answer.url, answer.headers["Set-Cookie"]) == (200, link, None)
        assert objections() == ["news"]


@pytest.mark.parametrize("width", [1200, 360])
@pytest.mark.parametrize("dark", [False, True])
def test_page_fits_its_screen(link: str, open_page: OpenPage, width: int, dark: bool) -> None:
    colours = "dark" if dark else "light"
    for language in ("de-DE", "pl-PL"):
        page = open_page(link, language=language, width=width, dark=dark)
        take_picture(page, f"unsubscribe-{language}-{width}-{colours}")
        page.get_by_role("button", name=re.compile("^(Abmelden|Zrezygnuj)$")).click()
        take_picture(page, f"unsubscribed-{language}-{width}-{colours}")
        widest = page.locator("body *").evaluate_all(
            "all => Math.max(...all.map(e => e.getBoundingClientRect().right))"
        )
        assert widest <= width
        Suppression.objects.all().delete()
    refused = open_page(link[:-3], width=width, dark=dark)
    expect(refused.get_by_role("heading", level=1)).to_have_text("Dieser Link ist nicht gültig")
    take_picture(refused, f"unsubscribe-wrong-{width}-{colours}")
