"""A replay of all and a replay of the unsent, from the page of a batch in a real browser, with a worker and a relay."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

import pytest
from playwright.sync_api import Page, expect

from batches.models import BatchStatus
from batches.progress import Snapshot
from batches.wording import say_rate
from tests.acceptance.browser import take_picture
from tests.acceptance.client import Client
from tests.acceptance.stack import RunningStack, stack_in_new_folder
from tests.smtpserver import Behaviour, RunningServer

COUNT = 40
LIST = "email,name\n" + "".join(
    f"{'fail-550' if number % 10 == 0 else 'good'}-{number}@example.org,P{number}\n" for number in range(COUNT)
)
REFUSED = COUNT // 10

UNSENT = "summary:has-text('Send to those who have not got it')"
SENT = 'dd[data-count="sent"]'
RESENDING = 'p[data-some="resending"]'


@pytest.fixture(scope="module")
def relay() -> Iterator[RunningServer]:
    with RunningServer() as running:
        yield running


@pytest.fixture(scope="module")
def stack(relay: RunningServer) -> Iterator[RunningStack]:
    environment = {"EMAIL_URL": relay.url, "SEND_WINDOW": "4", "SEND_CONNECTIONS": "1", "SEND_LANES": "1"}
    with stack_in_new_folder("replays", workers=1, environment=environment) as running:
        yield running


def test_nobody_who_has_the_mail_is_forgotten_and_the_others_get_it(
    page: Page, client: Client, relay: RunningServer
) -> None:
    batch_id = send_list(page)
    relay.become(Behaviour(rate=5))
    assert client.request("POST", f"/api/batches/{batch_id}/replay", {"which": "all"})[0] == 202
    cancel_replay_of_all(page)
    relay.become(Behaviour(address_faults=False))
    replay_the_unsent(page)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.reload()
    page.locator("#rows details summary").first.click()
    take_picture(page, "history")
    expect(page.locator("#rows details[open] li").first).to_contain_text("first send, job")
    items = client.request("GET", f"/api/batches/{batch_id}/emails?limit=100")[1]["items"]
    assert {item["status"] for item in items} == {"sent"}
    last_job = client.request("GET", f"/api/batches/{batch_id}")[1]["jobId"]
    assert {item["jobId"] for item in items if item["address"].startswith("fail")} == {last_job}


def send_list(page: Page) -> int:
    """Upload the list and send it at once. Returns the batch's id when it is completed."""
    page.goto("/")
    page.set_input_files("#id_file", {"name": "people.csv", "mimeType": "text/csv", "buffer": LIST.encode()})
    page.check('input[name="then"][value="send"]')
    page.get_by_role("button", name="Upload").click()
    page.locator("#send").click()  # the question
    page.wait_for_url(re.compile(r"/batches/\d+/$"))
    expect(page.locator("#status")).to_contain_text("Completed", timeout=30_000)
    expect(page.locator(UNSENT)).to_contain_text(f"({REFUSED})")
    return int(re.findall(r"/batches/(\d+)/", page.url)[0])


def cancel_replay_of_all(page: Page) -> None:
    """Watch a replay of all, and cancel it. Those who have the mail count as sent all the time."""
    expect(page.locator("#status")).to_contain_text("Processing", timeout=20_000)
    expect(page.locator(SENT)).to_have_text(str(COUNT - REFUSED))
    expect(page.locator(RESENDING)).to_be_visible()
    page.locator("#rows").scroll_into_view_if_needed()  # the page fetches the table only while it is in sight
    expect(page.locator("#rows")).to_contain_text("It is being sent again.", timeout=20_000)
    take_picture(page, "replay-of-all")
    page.click("summary:has-text('Cancel')")
    page.get_by_role("button", name="Stop sending").click()
    expect(page.locator("#status")).to_contain_text("Cancelled", timeout=30_000)
    expect(page.locator(SENT)).to_have_text(str(COUNT - REFUSED), timeout=20_000)
    expect(page.locator(RESENDING)).to_be_hidden(timeout=20_000)


def replay_the_unsent(page: Page) -> None:
    """Send to those who have not got it, on a narrow screen."""
    page.reload()
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        take_picture(page, f"button-{width}")
    # Each child of a button is a box of its own, with a gap before the next.
    children = "it => [...it.childNodes].filter(child => child.textContent.trim()).length"
    assert page.locator(UNSENT).evaluate(children) == 1
    assert page.locator(UNSENT).inner_text().startswith("Send to those who have not got it (")
    page.set_viewport_size({"width": 360, "height": 800})
    page.locator(UNSENT).click()
    expect(page.get_by_text("Nobody who has got it gets it again.")).to_be_visible()
    expect(page.locator('input[name="include-unknown"]')).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    take_picture(page, "replay-of-the-unsent")
    page.get_by_role("button", name="Send it now").click()
    expect(page.locator("#status")).to_contain_text("Completed", timeout=30_000)
    expect(page.locator(SENT)).to_have_text(str(COUNT), timeout=20_000)


def test_script_says_a_rate_as_the_server_does(page: Page) -> None:
    page.goto("/")
    script = "async (now) => (await import('/static/js/counts.js')).sayRate(now)"
    for finish, speed in product(("", "Done at about 20:25."), (0, 0.005, 0.167, 0.5, 9.9, 10, 1413.2)):
        now = {"status": BatchStatus.PROCESSING.value, "ratePerSecond": speed, "etaSeconds": 89.0, "finish": finish}
        assert page.evaluate(script, now) == say_rate(Snapshot(**now))  # type: ignore[typeddict-item]
