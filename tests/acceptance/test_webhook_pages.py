"""A webhook from the admin to a receiver, in a real browser on a real stack with a worker."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from standardwebhooks import Webhook as Verifier

from tests.acceptance.browser import take_picture, upload_and_send
from tests.acceptance.stack import RunningStack, stack_in_new_folder, wait_until
from tests.integration.webhooks.receiver import ACCEPT, Got, Receiver, answer, receiving

LIST = b"name,email\nAnn,ann@example.org\nBo,bo@example.org\n"


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with stack_in_new_folder("webhooks", workers=2, environment={"WEBHOOK_PRIVATE_HOSTS": "127.0.0.1"}) as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def add_webhook(page: Page, receiver: Receiver, *, name: str) -> str:
    """Set a webhook up in the admin, and return its secret."""
    page.goto("/admin/batches/webhook/add/")
    page.fill("#id_name", name)
    page.fill("#id_url", "https://127.0.0.2/")
    page.get_by_label("a batch ended").check()
    page.get_by_label("an email failed").check()
    page.click('[name="_save"]')
    expect(page.locator(".errorlist")).to_contain_text(["no public address"])
    take_picture(page, "webhook-refused")
    page.fill("#id_url", receiver.url)
    page.click('[name="_save"]')
    take_picture(page, "webhook-secret")
    return page.locator("#secret").inner_text().strip()


def choose(page: Page, action: str, *, name: str) -> None:
    page.goto("/admin/batches/webhook/")
    page.locator("#result_list tr", has_text=name).locator("input.action-select").check()
    page.select_option('[name="action"]', label=action)
    page.locator('.actions button[name="index"]').click()


def test_receiver_is_told_when_a_batch_has_ended(page: Page, receiver: Receiver) -> None:
    secret = add_webhook(page, receiver, name="our program")
    receiver.script = answer(500, body=b"the database is away")
    choose(page, "Send a test", name="our program")
    expect(page.locator(".messagelist")).to_contain_text("A test goes to our program")
    wait_until(lambda: bool(receiver.got), within_seconds=30, what="The test of the webhook")

    receiver.script = ACCEPT
    upload_and_send(page, filename="list.csv", content=LIST)
    wait_until(lambda: len(events(receiver)) >= 3, within_seconds=60, what="The end of the batch, and the test again")

    for got in receiver.got:
        Verifier(secret).verify(got.body, got.headers)
    [ended] = [event for event in events(receiver) if event["type"] == "batch.ended"]
    assert ended["data"]["sentCount"] == 2
    first, again = [got for got in receiver.got if b"webhook.test" in got.body]
    assert first.headers["webhook-id"] == again.headers["webhook-id"]
    page.goto("/admin/batches/webhook/")
    take_picture(page, "webhooks")
    page.locator("#result_list a", has_text="our program").click()
    table = page.locator(".field-last table")
    expect(table).to_contain_text("delivered, answered 200")
    for name, width, scheme in (("wide", 1280, "light"), ("narrow", 360, "light"), ("dark", 1280, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        take_picture(page, f"webhook-{name}")


def events(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(got.body) for got in receiver.got]


def test_message_arrives_again_when_the_worker_was_killed_after_the_post(
    page: Page, receiver: Receiver, stack: RunningStack
) -> None:
    """kill -9 of the work-horse after the receiver has the message, and before it has answered."""
    add_webhook(page, receiver, name="killed")

    def kill(connection: socket.socket, got: Got) -> None:
        receiver.script = ACCEPT
        for pid in stack.work_horse_pids():
            os.kill(pid, signal.SIGKILL)

    receiver.script = kill
    choose(page, "Send a test", name="killed")
    wait_until(lambda: bool(receiver.got), within_seconds=30, what="The first post")
    find = (
        "SELECT d.attempts FROM batches_webhookdelivery d JOIN batches_webhook w ON w.id = d.webhook_id "
        "WHERE w.name = 'killed' AND (d.delivered_at IS NOT NULL) = %s"
    )
    assert stack.query(find, False) == [(1,)]
    stack.query(
        "UPDATE batches_webhookdelivery SET next_attempt_at = now() WHERE delivered_at IS NULL RETURNING 1"
    )  # in place of the minute for which the claim of the dead sender holds

    wait_until(lambda: len(receiver.got) == 2, within_seconds=30, what="The second post")
    first, second = receiver.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"] and first.body == second.body
    wait_until(lambda: stack.query(find, True) == [(2,)], within_seconds=20, what="The record of the delivery")
