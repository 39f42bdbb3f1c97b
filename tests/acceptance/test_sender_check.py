"""The sender check from the button to green and red: through a real Postfix with OpenDKIM to a real mailbox and back.

Two relays sign the mail of two senders: one as ``deploy/postfix`` is written, and one as OpenDKIM does by default. A
third server verifies the signatures, and delivers to Dovecot, which a worker reads by IMAP.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance import deployed_relay, dovecot, postfix
from tests.acceptance.browser import take_picture
from tests.acceptance.deployed_relay import DeployedRelay
from tests.acceptance.dovecot import Dovecot
from tests.acceptance.stack import RunningStack, stack_in_new_folder
from tests.dns_server import DnsServer
from tests.unit.sender_checks.test_published import quoted

if (missing := postfix.missing() or deployed_relay.missing() or dovecot.missing()) and not os.environ.get(
    "REQUIRE_POSTFIX"
):
    pytest.skip(missing, allow_module_level=True)

VIEWS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark-narrow": {"color_scheme": "dark", "viewport": {"width": 360, "height": 740}},
}
ZONE = {
    "news.school.example TXT": [quoted("v=spf1 a:mail.school.example -all")],
    "news.school.example MX": ["10 mail.school.example."],
    "school.example MX": ["10 mail.school.example."],
    "mail.school.example A": ["192.0.2.1"],
    "_dmarc.school.example TXT": [quoted("v=DMARC1; p=none")],
}
MAKE_SENDERS = """
from batches.models import Relay, Sender
from batches.relays import registry
registry.sync()
for key, name in [("cured", "default"), ("bare", "bare")]:
    sender = Sender.objects.create(key=key, address=f"{key}@school.example")
    sender.relays.set(Relay.objects.filter(name=name))
"""


@pytest.fixture(scope="module")
def zone() -> Iterator[DnsServer]:
    with DnsServer(ZONE) as server:
        yield server


@pytest.fixture(scope="module")
def stack(zone: DnsServer) -> Iterator[RunningStack]:
    with ExitStack() as opened:
        mailbox = opened.enter_context(Dovecot())
        receiver = opened.enter_context(
            DeployedRelay(host="mx.dest.example", networks="192.0.2.0/24", returns_port=mailbox.lmtp_port)
        )
        cured = opened.enter_context(DeployedRelay(next_hop=receiver.port))
        bare = opened.enter_context(DeployedRelay(next_hop=receiver.port, has_cure=False, selector="bare"))
        keys = dict(relay.public_key("school.example") for relay in (cured, bare))
        receiver.publish(keys)
        zone.records.update({f"{name.lower()} txt": [quoted(text)] for name, text in keys.items()})
        environment = {
            "EMAIL_URL": f"smtp://127.0.0.1:{cured.port}",
            "EMAIL_URL_BARE": f"smtp://127.0.0.1:{bare.port}",
            "BOUNCE_ADDRESS": "bounce@news.school.example",
            "RETURNS_URL": mailbox.url("bounce"),
            "PUBLIC_URL": "https://mail.school.example",
            "DNS_SERVERS": zone.address,
        }
        running = opened.enter_context(stack_in_new_folder("check", workers=1, environment=environment))
        running.manage("shell", "-c", MAKE_SENDERS)
        yield running


def send_round_trip(page: Page, key: str) -> None:
    page.goto("/admin/batches/sender/")
    page.get_by_role("row", name=key).get_by_role("link", name="Check").click()
    page.get_by_role("button", name="Send a round trip").click()
    # The page loads again by itself until the message has arrived.
    expect(page.get_by_role("heading", name="How the last round trip arrived")).to_be_visible(timeout=60_000)


def take_pictures(page: Page, name: str) -> None:
    for view, options in VIEWS.items():
        page.set_viewport_size(options["viewport"])  # type: ignore[arg-type]
        page.emulate_media(color_scheme=options["color_scheme"])  # type: ignore[arg-type]
        assert page.evaluate("document.documentElement.scrollWidth") <= options["viewport"]["width"]  # type: ignore[index]
        take_picture(page, f"{name}-{view}")


def test_check_is_green_when_the_relay_signs_both_headers(page: Page, stack: RunningStack) -> None:
    send_round_trip(page, "cured")
    take_pictures(page, "sender-check-green")
    expect(page.locator("li.red")).to_have_count(0)
    expect(page.locator("li.amber")).to_have_count(0)
    for title in ("DKIM signature", "One-click unsubscribing", "Message-ID", "Return path", "The receiver on DKIM"):
        expect(page.locator("li.green", has_text=title)).to_have_count(1)
    done = stack.manage("checksender", "cured@school.example", "--json")
    assert json.loads(done.stdout)["light"] == "green"


def test_check_is_red_and_names_the_cure_when_the_relay_signs_as_by_default(page: Page, stack: RunningStack) -> None:
    send_round_trip(page, "bare")
    take_pictures(page, "sender-check-red")
    expect(page.locator("li.red")).to_have_count(1)
    expect(page.locator("li.red")).to_contain_text("SignHeaders *,+List-Unsubscribe-Post")
    expect(page.locator("li.green", has_text="The receiver on DKIM")).to_have_count(1)
    done = stack.manage("checksender", "bare", check=False)
    assert done.returncode == 1
    assert "FIX   One-click unsubscribing" in done.stdout


def test_command_waits_for_its_round_trip(stack: RunningStack) -> None:
    done = stack.manage("checksender", "cured", "--round-trip", "--json")
    told = json.loads(done.stdout)
    assert (told["light"], told["waits"]) == ("green", "")
    assert "One-click unsubscribing" in {item["title"] for item in told["items"]}
