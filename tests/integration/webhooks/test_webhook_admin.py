"""Webhooks in the admin: who may set one up, what is refused, and what the pages show."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from django.conf import LazySettings
from django.contrib.auth.models import Permission as Stored
from django.contrib.auth.models import User
from django.test import Client
from standardwebhooks import Webhook as Verifier

from batches.models import AuditEntry, Webhook, WebhookDelivery, WebhookEvent
from batches.permissions import Permission
from batches.webhooks.events import emit, emit_many
from batches.webhooks.sending import send_due
from tests.conftest import MakeUser, permit
from tests.integration.webhooks.conftest import MakeWebhook
from tests.integration.webhooks.receiver import Receiver, answer

URL = "/admin/batches/webhook/"
ENDED = WebhookEvent.BATCH_ENDED


@pytest.fixture
def admin(client: Client, staff: User, settings: LazySettings) -> Client:
    staff.set_password("a long password")
    staff.save()
    client.post("/accounts/login/", {"username": staff.username, "password": "a long password"})
    return client


def add(client: Client, **fields: object) -> Any:
    values = {"name": "our program", "url": "https://hooks.example.org/in", "events": [ENDED], "is_enabled": "on"}
    return client.post(f"{URL}add/", values | fields)


def act(client: Client, action: str, *webhooks: Webhook) -> str:
    chosen = [webhook.pk for webhook in webhooks]
    answered = client.post(URL, {"action": action, "_selected_action": chosen}, follow=True)
    assert answered.status_code == 200
    return html.unescape(answered.content.decode())


def shown_secret(page: str) -> str:
    found = re.search(r'<pre id="secret">([^<]+)</pre>', page)
    assert found is not None
    return found[1]


def test_secret_is_shown_once_when_a_webhook_is_made(admin: Client) -> None:
    answered = add(admin, events=[ENDED, WebhookEvent.EMAIL_FAILED])

    webhook = Webhook.objects.get()
    assert webhook.events == [ENDED, WebhookEvent.EMAIL_FAILED]
    assert answered.status_code == 200
    assert shown_secret(answered.content.decode()) == webhook.secret
    assert "no-store" in answered.headers["Cache-Control"]
    Verifier(webhook.secret)
    page = admin.get(f"{URL}{webhook.pk}/change/").content.decode()
    assert webhook.secret not in page and webhook.secret[:10] in page


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://hooks.example.org/", "Write https"),
        ("https://127.0.0.1/", "no public address"),
        ("https://[::1]:8000/", "no public address"),
        ("https://169.254.169.254/latest/meta-data/", "no public address"),
        ("https://ann:secret@hooks.example.org/", "Remove the user"),
        ("javascript:alert(1)", "This is no address"),
        ("hooks.example.org", "This is no address"),
    ],
)
def test_webhook_is_refused_when_nothing_can_be_posted_to_its_address(admin: Client, url: str, words: str) -> None:
    assert words in html.unescape(add(admin, url=url).content.decode())
    assert not Webhook.objects.exists()


@pytest.mark.parametrize("events", [[], ["webhook.test"], ["no.such"]])
def test_webhook_is_refused_when_it_wants_no_event_that_there_is(admin: Client, events: list[str]) -> None:
    assert "errorlist" in add(admin, events=events).content.decode()
    assert not Webhook.objects.exists()


def test_private_address_is_taken_when_the_settings_name_its_host(admin: Client, settings: LazySettings) -> None:
    settings.WEBHOOK_PRIVATE_HOSTS = ["receiver", "10.0.0.7"]
    add(admin, url="http://receiver:8080/in")
    add(admin, url="http://10.0.0.7/in", name="second")
    assert Webhook.objects.count() == 2


def test_test_is_sent_and_shown_when_somebody_presses_for_it(
    admin: Client, receiver: Receiver, make_webhook: MakeWebhook
) -> None:
    webhook = make_webhook(receiver.url, ENDED)
    assert "A test goes to" in act(admin, "send_test", webhook)
    receiver.script = answer(500, body=b"<script>alert(1)</script>")

    send_due()

    assert b'"type":"webhook.test"' in receiver.got[0].body
    raw = admin.get(f"{URL}{webhook.pk}/change/").content.decode()
    assert "<script>alert" not in raw
    page = html.unescape(raw)
    assert "next attempt at" in page and "The receiver answered 500: <script>alert(1)</script>" in page
    assert "The receiver is away" in page
    delivery = WebhookDelivery.objects.get()
    assert "webhook.test" in admin.get(f"/admin/batches/webhookdelivery/{delivery.pk}/change/").content.decode()
    assert "answered 500" in admin.get("/admin/batches/webhookdelivery/").content.decode()


def test_nothing_is_sent_when_the_webhook_is_disabled(admin: Client, make_webhook: MakeWebhook) -> None:
    webhook = make_webhook("https://hooks.example.org/")
    Webhook.objects.update(is_enabled=False)
    assert "Disabled, so nothing is sent" in act(admin, "send_test", webhook)
    assert not WebhookDelivery.objects.exists()


def test_both_secrets_sign_until_the_old_one_is_forgotten(
    admin: Client, receiver: Receiver, make_webhook: MakeWebhook
) -> None:
    webhook = make_webhook(receiver.url)
    old = webhook.secret
    new = shown_secret(act(admin, "make_secret", webhook))
    emit(ENDED, {})
    send_due()
    for secret in (old, new):
        Verifier(secret).verify(receiver.got[0].body, receiver.got[0].headers)

    assert "signed with the new secret only" in act(admin, "forget_secret", webhook)

    webhook.refresh_from_db()
    assert webhook.secret == new
    acts = AuditEntry.objects.filter(target="webhook").order_by("pk").values_list("details__act", flat=True)
    assert list(acts) == ["make secret", "forget secret"]


def test_message_is_sent_again_under_its_id_when_somebody_presses_for_it(
    admin: Client, receiver: Receiver, make_webhook: MakeWebhook
) -> None:
    make_webhook(receiver.url)
    emit(ENDED, {})
    send_due()
    delivery = WebhookDelivery.objects.get()

    chosen = {"action": "send_again", "_selected_action": [delivery.pk]}
    page = admin.post("/admin/batches/webhookdelivery/", chosen, follow=True).content.decode()
    send_due()

    assert "1 message is sent again" in page
    first, second = receiver.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


def test_page_says_when_a_message_is_not_sent_again(admin: Client, make_webhook: MakeWebhook) -> None:
    webhook = make_webhook("https://hooks.example.org/")
    Webhook.objects.filter(pk=webhook.pk).update(name="Shop")
    emit_many(ENDED, [{}, {}])
    ended, waiting = WebhookDelivery.objects.order_by("pk")
    WebhookDelivery.objects.filter(pk=ended.pk).update(next_attempt_at=None)
    Webhook.objects.update(is_enabled=False)

    chosen = {"action": "send_again", "_selected_action": [ended.pk, waiting.pk]}
    page = admin.post("/admin/batches/webhookdelivery/", chosen, follow=True).content.decode()

    assert "1 of them already waits for the next attempt." in page
    assert "Disabled, so nothing is sent until you enable it: Shop." in page
    assert AuditEntry.objects.filter(details__act="send again").count() == 1


def test_webhook_is_refused_without_a_new_proof(admin: Client, make_webhook: MakeWebhook) -> None:
    session = admin.session
    for record in session[AUTHENTICATION_METHODS_SESSION_KEY]:
        record["at"] -= 3600
    session.save()
    assert add(admin).headers["Location"].startswith("/accounts/reauthenticate/")
    webhook = make_webhook("https://hooks.example.org/")
    before = webhook.secret
    changed = {"name": "x", "url": "https://evil.example.org/", "events": [ENDED]}
    assert admin.post(f"{URL}{webhook.pk}/change/", changed).status_code == 302
    act(admin, "make_secret", webhook)

    webhook = Webhook.objects.get()
    assert (webhook.url, webhook.secret) == ("https://hooks.example.org/", before)


def test_webhooks_are_for_those_alone_who_may_see_all_batches(
    client: Client, make_user: MakeUser, make_webhook: MakeWebhook
) -> None:
    webhook = make_webhook("https://hooks.example.org/")
    emit(ENDED, {})
    clerk = make_user("clerk", is_staff=True)
    kinds = ("webhook", "webhookdelivery")
    clerk.user_permissions.set(Stored.objects.filter(content_type__model__in=kinds))
    client.force_login(clerk)
    addresses = [URL, f"{URL}add/", f"{URL}{webhook.pk}/change/", f"{URL}{webhook.pk}/delete/"]
    addresses += ["/admin/batches/webhookdelivery/"]
    addresses += [f"/admin/batches/webhookdelivery/{WebhookDelivery.objects.get().pk}/change/"]
    for address in addresses:
        assert client.get(address).status_code == 403, address

    permit(clerk, Permission.VIEW_ALL_BATCHES)
    for address in addresses:
        assert client.get(address).status_code == 200, address


def test_webhook_is_deleted_with_its_deliveries(admin: Client, make_webhook: MakeWebhook) -> None:
    first, second = make_webhook("https://hooks.example.org/"), make_webhook("https://hooks.example.org/2")
    emit(ENDED, {})
    page = admin.get(f"{URL}{first.pk}/delete/").content.decode()
    assert "with its 1 deliveries" in page and "Yes" in page
    admin.post(f"{URL}{first.pk}/delete/", {"post": "yes"})
    assert list(Webhook.objects.all()) == [second]
    assert WebhookDelivery.objects.get().webhook == second

    chosen = {"action": "delete_selected", "_selected_action": [second.pk], "post": "yes"}
    admin.post(URL, chosen)
    assert not Webhook.objects.exists() and not WebhookDelivery.objects.exists()
