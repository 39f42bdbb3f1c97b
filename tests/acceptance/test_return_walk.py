"""A canary of a real stack comes back by LMTP: the batch stops by itself, the operator sees why, and lets it go on."""

from __future__ import annotations

import re
import smtplib
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.browser import take_picture
from tests.acceptance.client import Client
from tests.acceptance.mail_server import free_port
from tests.acceptance.stack import RunningStack, stack_in_new_folder
from tests.returned_mail import make_bounce
from tests.smtpserver import Behaviour, RunningServer
from tests.smtpserver.record import Accepted

COUNT = 200
CANARY = 50
RETURNED = 9
LIST = "email,name\n" + "".join(f"p{number}@dest{number % 2}.example,P{number}\n" for number in range(COUNT))
SHOWN_SECONDS = 10.0
"""How long a report may take from the listener to the page and the API: the contract of docs/returns.md."""


@pytest.fixture(scope="module")
def relay() -> Iterator[RunningServer]:
    with RunningServer(Behaviour()) as running:
        yield running


@pytest.fixture(scope="module")
def stack(relay: RunningServer) -> Iterator[RunningStack]:
    environment = {
        "EMAIL_URL": relay.url,
        "BOUNCE_ADDRESS": "bounce@news.example.org",
        "RETURNS_URL": f"lmtp://127.0.0.1:{free_port()}",
        "SEND_STOP_ABOVE": "10",
        "SEND_CANARY_SECONDS": "600",
    }
    with stack_in_new_folder("returns", workers=1, environment=environment) as running:
        yield running


def hand_in(stack: RunningStack, accepted: list[Accepted]) -> None:
    """Hand in a delivery status notification about each message, as the mail server of its recipient would."""
    port = urlsplit(stack.environment["RETURNS_URL"]).port or 0
    with smtplib.LMTP("127.0.0.1", port) as server:
        for number, each in enumerate(accepted):
            report = make_bounce(number, to=each.sender, recipient=each.recipient, message_id=each.message_id)
            assert server.sendmail("", [each.sender], report) == {}


def test_canary_that_comes_back_stops_the_batch_until_the_operator_resumes_it(
    page: Page, client: Client, stack: RunningStack, relay: RunningServer
) -> None:
    page.goto("/")
    page.set_input_files("#id_file", {"name": "people.csv", "mimeType": "text/csv", "buffer": LIST.encode()})
    page.check('input[name="then"][value="send"]')
    page.get_by_role("button", name="Upload").click()
    page.locator("#send").click()  # the question
    page.wait_for_url(re.compile(r"/batches/\d+/$"))
    page.evaluate("window.isSamePage = true")
    batch_id = int(page.url.rstrip("/").rpartition("/")[2])
    expect(page.locator("#waiting-for")).to_contain_text("to see what comes back", timeout=30_000)
    expect(page.locator('dd[data-count="sent"]')).to_have_text(str(CANARY))
    take_picture(page, "walk-canary")
    canary = relay.accepted()
    assert len({each.sender for each in canary}) == CANARY, "each message has a return path of its own"

    hand_in(stack, canary[: RETURNED // 2])
    began = time.monotonic()
    expect(page.locator('dd[data-count="returned"]')).to_have_text(str(RETURNED // 2), timeout=SHOWN_SECONDS * 1000)
    assert client.batch(batch_id)["returnedCount"] == RETURNED // 2
    assert time.monotonic() - began < SHOWN_SECONDS
    assert client.batch(batch_id)["status"] == "processing"

    hand_in(stack, canary[:RETURNED])  # the first of them for the second time
    expect(page.locator("#status")).to_contain_text("Paused", timeout=20_000)
    expect(page.locator("#waiting-for")).to_contain_text("of the first 50 emails failed or came back")
    sentence = f"{RETURNED} came back: {RETURNED} gone."
    expect(page.locator(".came-back")).to_have_text(sentence, timeout=SHOWN_SECONDS * 1000)
    page.get_by_role("heading", name="Recipients").scroll_into_view_if_needed()  # the list is fetched only in sight
    expect(page.get_by_role("link", name="Came back")).to_be_visible(timeout=SHOWN_SECONDS * 1000)
    take_picture(page, "walk-stopped")
    assert page.evaluate("window.isSamePage")
    assert len(relay.accepted()) == CANARY

    page.get_by_role("button", name="Resume").click()
    described = client.wait_for_end(batch_id)
    assert (described["status"], described["sentCount"]) == ("completed", COUNT)
    assert described["returnedCount"] == RETURNED
    page.goto(f"/batches/{batch_id}/?status=returned")
    expect(page.locator("#rows tbody tr")).to_have_count(RETURNED)
    expect(page.locator("#rows tbody tr").first).to_contain_text("User unknown")
    take_picture(page, "walk-ended")
    expect_all_readers_told(client, batch_id)


def expect_all_readers_told(client: Client, batch_id: int) -> None:
    """The API, the websocket and the event stream say the same."""
    emails = list(client.emails(batch_id))
    assert {email["status"] for email in emails} == {"sent"}
    assert [email["returned"] for email in emails if email["returned"]] == ["gone"] * RETURNED
    returned = client.get(f"/api/batches/{batch_id}/emails?state=returned")["items"]
    assert len(returned) == RETURNED
    for snapshots in (client.watch_socket(batch_id), client.watch_stream(batch_id)):
        assert (snapshots[-1]["sent"], snapshots[-1]["returned"]) == (COUNT, RETURNED)
