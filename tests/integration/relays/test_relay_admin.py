"""Relays in the admin: the limits that a person sets, the state in words, and the actions."""

from __future__ import annotations

from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import Permission, User
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from batches.models import (
    BatchStatus,
    EmailJob,
    JobStatus,
    Relay,
    RelayPause,
    RelayPreset,
    RelayQuota,
    RelayUse,
    Reservation,
    Sender,
)
from batches.outcomes import ReplyMeaning
from batches.relays import relays_version, sync
from tests.conftest import MakeBatch, MakeJob

pytestmark = pytest.mark.django_db

LIST = reverse("admin:batches_relay_changelist")
DAY = 86_400


@pytest.fixture(autouse=True)
def relays(settings: LazySettings) -> None:
    settings.EMAIL_URL = "smtp+tls://ann:hush@first.example:587"
    settings.RELAY_URLS = {"m365": "smtp+tls://ann:hush@smtp.office365.com:587"}
    settings.SEND_BACKEND = ""
    sync()


@pytest.fixture
def page(client: Client, staff: User) -> Client:
    client.force_login(staff)
    return client


def get(name: str = "m365") -> Relay:
    return Relay.objects.get(name=name)


def read_list(page: Client) -> str:
    text = unescape(page.get(LIST).content.decode())
    assert "hush" not in text
    return text


def state_of(page: Client, name: str = "m365") -> str:
    """Return the state that the list shows."""
    row = read_list(page).split(f">{name}</a>")[1].split("</tr>")[0]
    return row.split('class="field-doing">')[1].split("</td>")[0]


def save(page: Client, *, quotas: list[tuple[int, int, int]] | None = None, **changes: Any) -> str:
    """Save the form of a relay with some changes. A quota is (messages, number, unit in seconds). Return the page."""
    relay = get()
    url = reverse("admin:batches_relay_change", args=[relay.pk])
    existing = list(relay.quotas.exclude(period_seconds=60))
    data: dict[str, Any] = {
        "is_enabled": "on",
        "weight": 1,
        "order": 0,
        "preset": relay.preset,
        "rate_per_second": 0,
        "rate_per_minute": relay.rate_per_minute,
        "quotas-INITIAL_FORMS": len(existing),
        **changes,
    }
    rows = quotas if quotas is not None else [(q.amount, q.period_seconds, 1) for q in existing]
    # The page has an empty row after the others, whose unit is chosen already.
    data |= {"quotas-TOTAL_FORMS": len(rows) + 1, f"quotas-{len(rows)}-unit": 3600, f"quotas-{len(rows)}-amount": ""}
    for place, (amount, number, unit) in enumerate(rows):
        prefix = f"quotas-{place}-"
        data |= {f"{prefix}amount": amount, f"{prefix}number": number, f"{prefix}unit": unit}
        data |= {f"{prefix}relay": relay.pk, f"{prefix}id": existing[place].pk if place < len(existing) else ""}
    return unescape(page.post(url, data, follow=True).content.decode())


def quotas() -> list[tuple[int, int]]:
    return list(get().quotas.order_by("period_seconds").values_list("amount", "period_seconds"))


def test_list_has_each_relay_with_its_address_and_no_password(page: Client, settings: LazySettings) -> None:
    settings.RELAY_URLS = {**settings.RELAY_URLS, "new": "smtp://new.example"}
    text = read_list(page)
    for words in ("first.example:587", "smtp.office365.com:587", "new.example:25", "carries mail", "no quota"):
        assert words in text


def test_nobody_adds_a_relay_and_only_an_unconfigured_one_is_deleted(page: Client, settings: LazySettings) -> None:
    assert page.get(reverse("admin:batches_relay_add")).status_code == 403
    delete = reverse("admin:batches_relay_delete", args=[get().pk])
    assert page.post(delete, {"post": "yes"}).status_code == 403
    settings.RELAY_URLS = {}
    assert "not configured: EMAIL_URL_M365 is not set" in state_of(page)
    ann = Sender.objects.create(key="ann", address="ann@example.org")
    ann.relays.add(get())  # without it, every relay would carry her mail
    assert page.post(delete, {"post": "yes"}).status_code == 403
    ann.relays.clear()
    assert page.post(delete, {"post": "yes"}).status_code == 302
    assert not Relay.objects.filter(name="m365").exists()


def test_emails_in_doubt_are_released_when_their_relay_is_gone_for_good(
    page: Client, settings: LazySettings, make_batch: MakeBatch
) -> None:
    batch = make_batch(BatchStatus.PROCESSING, pending=3)
    batch.emails.update(relay=get())
    settings.RELAY_URLS = {}
    page.post(reverse("admin:batches_relay_delete", args=[get().pk]), {"post": "yes"})
    assert set(batch.emails.values_list("relay", flat=True)) == {None}


def test_quota_is_saved_in_its_unit_and_shown_with_its_use(
    page: Client, make_batch: MakeBatch, make_job: MakeJob
) -> None:
    save(page, quotas=[(10_000, 24, 3600), (500, 90, 60)])
    assert quotas() == [(500, 5400), (10_000, DAY)]
    quota = get().quotas.get(period_seconds=DAY)
    RelayUse.objects.create(quota=quota, at=timezone.now(), count=1200)
    RelayUse.objects.create(quota=quota, at=timezone.now() - timedelta(hours=23), count=30)
    RelayUse.objects.create(quota=quota, at=timezone.now() - timedelta(hours=25), count=900)
    lane = make_job(make_batch(BatchStatus.PROCESSING, pending=1), JobStatus.PROCESSING).lanes.create(number=0)
    Reservation.objects.create(relay=get(), lane=lane, count=4)
    text = read_list(page)
    assert "1,234 of 10,000 in 24 hours" in text
    assert "4 of 500 in 90 minutes" in text
    form = unescape(page.get(reverse("admin:batches_relay_change", args=[get().pk])).content.decode())
    assert 'value="24"' in form and 'value="90"' in form


def test_messages_of_a_minute_are_a_quota_too(page: Client) -> None:
    save(page, rate_per_minute=30)
    assert quotas() == [(30, 60)]
    row = get().quotas.get()
    save(page, rate_per_minute=40)
    assert (quotas(), get().quotas.get().pk) == ([(40, 60)], row.pk)
    assert "quotas-0-amount" not in save(page).split("quotas-TOTAL_FORMS")[0]
    save(page, rate_per_minute=0)
    assert quotas() == []


def test_quota_of_a_minute_follows_when_a_program_sets_the_rate() -> None:
    Relay.objects.filter(name="m365").update(rate_per_minute=7)
    sync()
    assert quotas() == [(7, 60)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"quotas": [(30, 60, 1)]}, "Write the messages of a minute above, as “rate per minute”."),
        ({"quotas": [(30, 1, 60)]}, "Write the messages of a minute above"),
        ({"quotas": [(30, 24, 3600), (40, 1, DAY)]}, "Two quotas have the same period. Keep the smaller one."),
        ({"quotas": [(30, 400, DAY)]}, "A quota may cover 366 days at most."),
        ({"quotas": [(0, 24, 3600)]}, "greater than or equal to 1"),
        ({"weight": 0}, "greater than or equal to 1"),
        ({"connections": 0}, "greater than or equal to 1"),
        ({"rate_per_second": -1}, "greater than or equal to 0"),
        ({"opens_at": "08:00", "closes_at": "08:00"}, "Both times are the same. For the whole day, leave both empty."),
        ({"weekdays": [7]}, "Select a valid choice"),
    ],
)
def test_form_says_what_is_wrong_and_saves_nothing(page: Client, changes: dict[str, Any], words: str) -> None:
    before = relays_version()
    assert words in save(page, **changes)
    assert (quotas(), relays_version()) == ([], before)


def test_preset_fills_the_limits_and_says_what_changed(page: Client) -> None:
    text = save(page, preset=RelayPreset.MICROSOFT365)
    assert (
        "The preset “Microsoft 365” set the limits of m365: 30 in 1 minute and 10,000 in 24 hours. Before: no limits."
        in text
    )
    assert (get().rate_per_minute, quotas()) == (30, [(30, 60), (10_000, DAY)])
    used = get().quotas.get(period_seconds=DAY)
    text = save(page, preset=RelayPreset.WORKSPACE)
    assert "set the limits of m365: 2,000 in 24 hours. Before: 30 in 1 minute and 10,000 in 24 hours." in text
    assert (get().rate_per_minute, quotas(), get().quotas.get().pk) == (0, [(2000, DAY)], used.pk)
    save(page, preset=RelayPreset.GMAIL)
    assert quotas() == [(500, DAY)]
    save(page, preset=RelayPreset.SES)
    assert quotas() == []


def test_preset_says_whether_the_relay_takes_our_return_paths(page: Client) -> None:
    text = save(page, preset=RelayPreset.MICROSOFT365, keeps_return_path="on")
    assert "It wants its login in MAIL FROM, so no message has a return path of its own." in text
    assert not get().keeps_return_path
    save(page, preset=RelayPreset.SES)
    assert get().keeps_return_path
    save(page, preset=RelayPreset.GMAIL)
    assert not get().keeps_return_path


def test_relay_may_take_our_return_paths_against_its_preset(page: Client) -> None:
    save(page, preset=RelayPreset.GMAIL)
    save(page, preset=RelayPreset.GMAIL, keeps_return_path="on")
    assert get().keeps_return_path


@pytest.mark.parametrize(
    ("typed", "rate_per_minute", "kept"),
    [
        ({"quotas": [(400, 24, 3600)]}, 30, [(30, 60), (400, DAY)]),
        ({"quotas": [(50, 1, 3600)]}, 30, [(30, 60), (50, 3600), (10_000, DAY)]),
        ({"rate_per_minute": 20}, 20, [(20, 60), (10_000, DAY)]),
        ({"rate_per_minute": 20, "quotas": [(400, 1, DAY)]}, 20, [(20, 60), (400, DAY)]),
    ],
)
def test_preset_keeps_what_is_typed_in_the_same_form(
    page: Client, typed: dict[str, Any], rate_per_minute: int, kept: list[tuple[int, int]]
) -> None:
    text = save(page, preset=RelayPreset.MICROSOFT365, **typed)
    assert (get().rate_per_minute, quotas()) == (rate_per_minute, kept)
    assert "What you typed goes before the preset." in text


def test_preset_replaces_a_quota_that_was_there_and_keeps_one_that_is_edited(page: Client) -> None:
    save(page, quotas=[(7, 1, 3600), (900, 2, DAY)])
    text = save(page, preset=RelayPreset.GMAIL, quotas=[(7, 1, 3600), (800, 2, DAY)])
    assert quotas() == [(500, DAY), (800, 2 * DAY)]
    assert "limits of m365: 500 in 24 hours and 800 in 48 hours. Before: 7 in 1 hour and 900 in 48 hours." in text


def test_own_limits_stay_when_the_preset_stays(page: Client) -> None:
    save(page, preset=RelayPreset.MICROSOFT365)
    save(page, rate_per_minute=20)
    assert quotas() == [(20, 60), (10_000, DAY)]


def test_window_senders_and_days_are_saved(page: Client) -> None:
    ann = Sender.objects.create(key="ann", address="ann@example.org")
    save(page, opens_at="18:00", closes_at="06:00", weekdays=[0, 4], senders=[ann.pk], weight=3, order=2, connections=5)
    relay = get()
    assert (relay.weekdays, list(relay.senders.all())) == ([0, 4], [ann])
    assert (relay.weight, relay.order, relay.connections) == (3, 2, 5)
    assert (str(relay.opens_at), str(relay.closes_at)) == ("18:00:00", "06:00:00")


def pause(seconds: float, *, sender: Sender | None = None) -> None:
    RelayPause.objects.create(
        relay=get(),
        sender=sender,
        meaning=ReplyMeaning.QUOTA,
        sentence="It is full.",
        until=Now() + timedelta(seconds=seconds),
    )


def test_state_says_why_it_carries_no_mail(page: Client, settings: LazySettings) -> None:
    assert state_of(page) == "carries mail"
    quota = RelayQuota.objects.create(relay=get(), amount=5, period_seconds=3600)
    RelayUse.objects.create(quota=quota, at=timezone.now(), count=5)
    assert state_of(page) == "waits, because its limit of 5 in 1 hour is used up"
    opens_at = (timezone.localtime() + timedelta(hours=1)).replace(second=0, microsecond=0)
    closes_at = opens_at + timedelta(hours=1)
    Relay.objects.filter(name="m365").update(opens_at=opens_at.time(), closes_at=closes_at.time())
    assert f"because it carries mail only from {opens_at:%H:%M} to {closes_at:%H:%M}" in state_of(page)
    pause(-5, sender=Sender.objects.create(key="ann", address="ann@example.org"))
    assert "because it carries mail only" in state_of(page)
    pause(3 * DAY)
    until = timezone.localtime() + timedelta(days=3)
    assert state_of(page).startswith(f"paused. It is full. Next try on {until:%A} {until.day} {until:%B}")
    Relay.objects.filter(name="m365").update(is_enabled=False)
    assert state_of(page) == "disabled"
    settings.RELAY_URLS = {"m365": "smpt://ann:hush@host"}
    assert "EMAIL_URL_M365 can't be read" in state_of(page)


def test_pause_of_one_sender_is_named(page: Client) -> None:
    pause(3 * DAY, sender=Sender.objects.create(key="ann", address="ann@example.org"))
    assert state_of(page).startswith("paused for mail of ann@example.org. It is full. Next try on ")


def act(page: Client, action: str, *names: str) -> str:
    chosen = list(Relay.objects.filter(name__in=names).values_list("pk", flat=True))
    answer = page.post(LIST, {"action": action, "_selected_action": chosen}, follow=True)
    return unescape(answer.content.decode())


def test_pauses_end_and_jobs_go_on_when_it_is_tried_again(
    page: Client, make_batch: MakeBatch, make_job: MakeJob
) -> None:
    job = make_job(
        make_batch(BatchStatus.PROCESSING, pending=1),
        JobStatus.PROCESSING,
        relay_retry_at=timezone.now() + timedelta(hours=1),
    )
    pause(3000)
    before = relays_version()
    assert "1 pause was ended. 1 waiting job goes on within seconds." in act(page, "try_again", "m365")
    assert not RelayPause.objects.exists()
    assert relays_version() != before
    retry_at = EmailJob.objects.get(pk=job.pk).relay_retry_at
    assert retry_at is None or retry_at <= timezone.now() + timedelta(seconds=1)
    assert "0 pauses were ended. 0 waiting jobs go on" in act(page, "try_again", "m365")


def test_relays_are_disabled_and_enabled(page: Client) -> None:
    before = relays_version()
    assert "1 relay was disabled." in act(page, "disable", "m365")
    assert relays_version() != before
    assert "Every relay is disabled, so no mail is sent." in act(page, "disable", "default", "m365")
    assert set(Relay.objects.values_list("is_enabled", flat=True)) == {False}
    assert "2 relays were enabled." in act(page, "enable", "default", "m365")
    assert set(Relay.objects.values_list("is_enabled", flat=True)) == {True}


def test_relays_are_not_for_everybody(client: Client, sender: User) -> None:
    sender.is_staff = True
    sender.save()
    client.force_login(sender)
    assert client.get(LIST).status_code == 403


def test_reader_sees_limits_and_days_in_words_and_changes_nothing(client: Client, sender: User) -> None:
    sender.is_staff = True
    sender.save()
    sender.user_permissions.set(Permission.objects.filter(codename__in=["view_relay", "view_relayquota"]))
    client.force_login(sender)
    Relay.objects.filter(name="m365").update(weekdays=[0, 4])
    get().quotas.create(amount=77, period_seconds=7200)
    url = reverse("admin:batches_relay_change", args=[get().pk])
    text = client.get(url).content.decode()
    assert "Mon, Fri" in text and "2 hours" in text
    assert "None" not in text.split("Rolling quotas")[1].split("</fieldset>")[0]
    assert client.post(url, {"weight": 3}).status_code == 403
    client.post(LIST, {"action": "disable", "_selected_action": [get().pk]})
    assert get().is_enabled
