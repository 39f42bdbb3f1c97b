"""The checklist of an administrator, and the page of help."""

from __future__ import annotations

import re

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from batches.models import AuditAction, AuditEntry, Confirmation, Sender


@pytest.fixture
def admin(client: Client, staff: User) -> Client:
    client.force_login(staff)
    return client


def read_states(page: Client) -> dict[str, str]:
    text = page.get(reverse("checklist")).content.decode()
    return dict(re.findall(r'id="([\w-]+)" data-state="(\w+)"', text))


def test_checklist_is_refused_when_the_user_is_no_administrator(page: Client) -> None:
    assert page.get(reverse("checklist")).status_code == 403
    assert page.post(reverse("checklist-backup")).status_code == 403
    assert not Confirmation.objects.exists()
    assert "checklist" not in page.get(reverse("home")).content.decode()


def test_items_are_open_when_nothing_is_set_up(admin: Client, settings: LazySettings) -> None:
    settings.IS_LOCAL_INBOX = True
    settings.PUBLIC_URL = "http://127.0.0.1:8000"
    settings.UNSUBSCRIBE_KEYS, settings.BOUNCE_ADDRESS, settings.TIME_ZONE = [], "", "UTC"
    Sender.objects.filter(key="default").update(address="webmaster@localhost")
    states = read_states(admin)
    opened = {key for key, state in states.items() if state == "open"}
    assert opened == {
        *("mail-server", "sender", "dns", "public-address", "unsubscribing", "workers"),
        *("second-factor", "returns", "backup"),
    }
    assert states["time-zone"] == "look"


def test_items_are_done_when_the_settings_are_right(admin: Client, settings: LazySettings) -> None:
    settings.IS_LOCAL_INBOX = False
    settings.PUBLIC_URL = "https://mail.example.org"
    settings.UNSUBSCRIBE_KEYS, settings.BOUNCE_ADDRESS = ["k" * 50], "returns@example.org"
    settings.RETURNS_URL, settings.TIME_ZONE, settings.RETENTION_DAYS = "lmtp://127.0.0.1:24", "Europe/Berlin", 365
    Sender.objects.filter(key="default").update(address="news@example.org")
    states = read_states(admin)
    for key in ("sender", "public-address", "unsubscribing", "returns", "time-zone", "retention"):
        assert states[key] == "ready", key
    assert states["mail-server"] == "look"  # nothing was sent through it yet


def test_backup_is_done_when_an_administrator_confirms_it(admin: Client, staff: User) -> None:
    assert read_states(admin)["backup"] == "open"
    admin.post(reverse("checklist-backup"))
    assert Confirmation.objects.get().by == staff
    assert read_states(admin)["backup"] == "ready"
    assert AuditEntry.objects.filter(action=AuditAction.ADMIN_CHANGE, details__act="confirm").count() == 1


def test_help_is_shown_when_a_user_asks(page: Client) -> None:
    assert "Your first letter" in page.get(reverse("help")).content.decode()
