"""News from the list to the objection: a real stack sends it, recipients unsubscribe, and the next news spares them."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.acceptance.browser import running_browser
from tests.acceptance.stack import RunningStack, stack_in_new_folder

COUNT = 40
ONE_CLICK_COUNT = 10


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with stack_in_new_folder("unsubscribing", workers=1) as running:
        yield running


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    rows = [f"person{number}@example.org,Person {number}\n" for number in range(COUNT)]
    path.write_text("email,name\n" + "".join(rows))
    return path


def send(stack: RunningStack, people: Path, *, topic: str) -> dict[str, int]:
    """Send a list about a topic. Returns how many were sent to, and how many were spared."""
    stack.manage("sendbatch", str(people), "--template", "welcome_email", "--topic", topic, "--wait", check=False)
    [counts] = stack.query("SELECT sent_count, suppressed_count FROM batches_batch ORDER BY id DESC LIMIT 1")
    return dict(zip(("sent", "suppressed"), counts, strict=True))


def read_links(stack: RunningStack) -> dict[str, str]:
    """Return the link in the header of each recipient's mail, which is the one in its text too."""
    found = {}
    for recipient, message in stack.mails():
        link = re.findall(r"<(https?:[^>]+)>", str(message["List-Unsubscribe"]))[0]
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert all(link in text for text in texts_of(message))
        found[recipient] = link
    return found


def texts_of(message: EmailMessage) -> list[str]:
    return [part.get_content() for part in message.walk() if part.get_content_maintype() == "text"]


def ask(link: str, *, method: str, body: bytes | None = None) -> int:
    request = urllib.request.Request(link, body, method=method)  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        assert answer.headers["Set-Cookie"] is None
        assert answer.url == link
        return int(answer.status)


def test_next_news_spares_those_who_unsubscribed(stack: RunningStack, people: Path) -> None:
    assert send(stack, people, topic="news") == {"sent": COUNT, "suppressed": 0}
    links = read_links(stack)
    assert len(set(links.values())) == COUNT

    for link in links.values():  # a program that checks links
        assert {ask(link, method=method) for method in ("GET", "HEAD")} == {200}
    assert stack.query("SELECT count(*) FROM batches_suppression") == [(0,)]

    for number in range(ONE_CLICK_COUNT):  # a mail program, whose provider sends each request twice
        for _ in range(2):
            assert ask(links[f"person{number}@example.org"], method="POST", body=b"List-Unsubscribe=One-Click") == 200
    with running_browser() as browser:
        page = browser.new_context(locale="de-DE").new_page()
        page.goto(links["person20@example.org"])
        page.get_by_role("button", name="Abmelden", exact=True).click()
        expect(page.get_by_role("status")).to_contain_text("Sie erhalten keine Nachrichten zu „Neuigkeiten“ mehr.")
        assert send(stack, people, topic="news") == {
            "sent": COUNT - ONE_CLICK_COUNT - 1,
            "suppressed": ONE_CLICK_COUNT + 1,
        }
        assert send(stack, people, topic="service") == {"sent": COUNT, "suppressed": 0}
        page.get_by_role("button", name="Rückgängig machen").click()
        expect(page.get_by_role("status")).to_contain_text("Ihre Auswahl ist gespeichert.")
    stack.manage("purge", "--older-than", "0", "--yes")
    assert ask(links["person30@example.org"], method="POST") == 200
    assert send(stack, people, topic="news") == {
        "sent": COUNT - ONE_CLICK_COUNT - 1,
        "suppressed": ONE_CLICK_COUNT + 1,
    }
    assert stack.query(
        "SELECT source, count(*) FROM batches_suppression WHERE reason = %s GROUP BY source", "unsubscribed"
    ) == [("one-click", ONE_CLICK_COUNT + 1)]
    assert not [link for link in links.values() if link.rpartition("/")[2] in stack.log]
    assert "/u/<token>" in stack.log
