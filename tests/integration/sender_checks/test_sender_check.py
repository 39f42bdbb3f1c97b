"""The page and the command of a sender check: DNS of the tests' own, and a round trip that a door has recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO

import pytest
from django.conf import LazySettings, settings
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from batches.models import Attempt, Batch, Email, EmailJob, EmailStatus, Lane, Relay, RoundTrip, Sender
from batches.outcomes import Outcome
from batches.relays import registry
from batches.rendering.message import derive_message_key, make_message_id
from batches.returns import round_trips as door
from batches.sender_checks import check_sender, start_round_trip
from batches.sender_checks.round_trips import find_expected
from tests.dns_server import DnsServer
from tests.unit.sender_checks.test_arrived import POSTFIX, UNSIGNED_POST
from tests.unit.sender_checks.test_published import LONG_KEY, quoted

pytestmark = pytest.mark.django_db

ZONE = {
    "news.school.example TXT": [quoted("v=spf1 a:mail.school.example -all")],
    "news.school.example MX": ["10 mail.school.example."],
    "school.example MX": ["10 mail.school.example."],
    "mail.school.example A": ["192.0.2.1"],
    "_dmarc.school.example TXT": [quoted("v=DMARC1; p=none")],
    "s1._domainkey.school.example TXT": [quoted(f"v=DKIM1; k=rsa; p={LONG_KEY}")],
}


@pytest.fixture
def zone(settings: LazySettings) -> Iterator[DnsServer]:
    with DnsServer(ZONE) as server:
        settings.DNS_SERVERS = [server.address]
        yield server


@pytest.fixture
def school(settings: LazySettings, zone: DnsServer) -> Sender:
    settings.BOUNCE_ADDRESS = "bounce@news.school.example"
    settings.RETURNS_URL = "lmtp://127.0.0.1:2525"
    settings.PUBLIC_URL = "https://school.example"
    settings.UNSUBSCRIBE_KEYS = ["a key for tests"]
    settings.EMAIL_URL = "smtp+tls://mail.school.example"
    return Sender.objects.create(key="school", address="news@school.example")


def arrive(trip: RoundTrip, header: str = POSTFIX) -> None:
    """Let a round trip arrive as this header says, with the email's own Message-ID and return path."""
    email, expected = Email.objects.get(batch=trip.batch_id), find_expected(trip)
    assert expected is not None
    header = header.replace("<1@school.example>", expected.message_id).replace("+2a.", f"+{email.pk:x}.")
    assert door.record(f"To: {email.address}\n{header}\n\nText\n".encode())


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("checksender", *arguments, stdout=output)
    return output.getvalue()


def show(client: Client, sender: Sender, **query: str) -> str:
    response = client.get(reverse("admin:batches_sender_check", args=[sender.pk]), query)
    assert response.status_code == 200
    return response.content.decode()


def test_all_is_green_when_a_signed_round_trip_arrived(school: Sender, staff: User) -> None:
    trip = start_round_trip(school, user=staff)
    arrive(trip)
    check = check_sender(school)
    assert check.is_green, [item for item in check.items if item.light.colour != "green"]
    assert {"DKIM key s1._domainkey.school.example", "MX of news.school.example"} <= {
        item.title for item in check.items
    }


def test_check_is_red_with_the_cure_when_the_relay_signs_one_header_alone(
    school: Sender, staff: User, client: Client
) -> None:
    arrive(start_round_trip(school, user=staff), UNSIGNED_POST)
    check = check_sender(school)
    assert [item.title for item in check.items if item.light.colour == "red"] == ["One-click unsubscribing"]
    client.force_login(staff)
    assert "SignHeaders *,+List-Unsubscribe-Post" in show(client, school)


def test_round_trip_is_a_batch_of_one_whose_template_nobody_finds(school: Sender, staff: User) -> None:
    trip = start_round_trip(school, user=staff)
    job = EmailJob.objects.get(batch=trip.batch_id)
    assert (job.template_id, job.from_email, job.total_count) == (None, "news@school.example", 1)
    assert Email.objects.get(batch=trip.batch_id).address == door.make_address(trip.token)
    assert trip.is_news


def test_nothing_is_kept_when_the_round_trip_is_refused(school: Sender, sender: User, staff: User) -> None:
    school.users.add(staff)
    with pytest.raises(Exception, match="You may not send from 'school'"):
        start_round_trip(school, user=sender)
    assert (Batch.objects.count(), RoundTrip.objects.count()) == (0, 0)


def test_page_says_what_to_publish_when_nothing_is(
    school: Sender, zone: DnsServer, client: Client, staff: User
) -> None:
    zone.records.clear()
    client.force_login(staff)
    page = show(client, school, selector="s1")
    for words in (
        "v=spf1 a:mail.school.example -all",
        "_dmarc.school.example. IN TXT",
        "s1._domainkey.school.example. IN TXT",
        "news.school.example. IN MX",
    ):
        assert words in page.replace("&quot;", '"'), words


def test_page_sends_a_round_trip_and_loads_again_until_it_arrives(school: Sender, client: Client, staff: User) -> None:
    client.force_login(staff)
    assert "http-equiv" not in show(client, school)
    posted = client.post(reverse("admin:batches_sender_check", args=[school.pk]))
    assert posted.status_code == 302
    page = show(client, school)
    assert 'http-equiv="refresh"' in page
    assert "on its way to the mail server" in page
    arrive(RoundTrip.objects.get())
    page = show(client, school)
    assert "http-equiv" not in page
    assert "The signature covers both headers." in page


def test_page_says_why_when_there_is_no_return_mailbox(
    school: Sender, settings: LazySettings, client: Client, staff: User
) -> None:
    settings.BOUNCE_ADDRESS = ""
    client.force_login(staff)
    assert "Set BOUNCE_ADDRESS" in show(client, school)
    client.post(reverse("admin:batches_sender_check", args=[school.pk]))
    assert not RoundTrip.objects.exists()


def test_page_is_for_those_who_may_see_senders(school: Sender, client: Client, sender: User) -> None:
    address = reverse("admin:batches_sender_check", args=[school.pk])
    assert client.get(address).status_code == 302
    sender.is_staff = True
    sender.save()
    client.force_login(sender)
    assert client.get(address).status_code == 403
    assert client.post(address).status_code == 403
    sender.user_permissions.add(Permission.objects.get(codename="view_sender"))
    assert client.get(address).status_code == 200


def test_selector_is_refused_when_it_is_none(school: Sender, client: Client, staff: User, zone: DnsServer) -> None:
    client.force_login(staff)
    assert "Write the selector as the mail server names it" in show(client, school, selector="a b/../c")
    assert not any("_domainkey" in question for question in zone.questions)


def test_command_ends_with_a_status_when_something_is_red(school: Sender, zone: DnsServer) -> None:
    assert "ok    SPF of news.school.example" in run("news@school.example", "--selector", "s1")
    del zone.records["_dmarc.school.example txt"]
    with pytest.raises(SystemExit) as ended:
        run("school")
    assert ended.value.code == 1


def test_command_prints_one_object_when_a_program_asks(school: Sender) -> None:
    told = json.loads(run("school", "--selector", "s1", "--json"))
    assert (told["sender"], told["light"]) == ("school", "green")
    assert {item["light"] for item in told["items"]} == {"green"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nobody@school.example"], "There is no sender"),
        (["school", "--selector", "a b"], "selector"),
        (["school", "--round-trip", "--wait", "0"], "on its way to the mail server"),
    ],
)
def test_command_says_why_when_it_cannot(school: Sender, arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        run(*arguments)


@pytest.mark.parametrize("is_json", [True, False])
def test_command_says_what_it_waits_for_unless_a_program_reads(school: Sender, is_json: bool) -> None:
    output = StringIO()
    with pytest.raises(CommandError):
        call_command("checksender", "school", "--round-trip", wait=0, json=is_json, stdout=output)
    assert ("This waits until it has arrived, 0 s at most." in output.getvalue()) != is_json


def test_command_fails_when_nothing_could_be_looked_up(school: Sender, settings: LazySettings) -> None:
    settings.DNS_SERVERS = ["nowhere"]
    with pytest.raises(CommandError, match="Nothing could be checked"):
        run("school", "--selector", "s1")


def test_command_says_what_is_missing_when_there_is_no_reader(school: Sender, settings: LazySettings) -> None:
    settings.RETURNS_URL = ""
    with pytest.raises(CommandError, match="Set RETURNS_URL"):
        run("school", "--round-trip")


def test_spf_is_asked_of_the_senders_domain_when_the_relay_wants_its_login(school: Sender, zone: DnsServer) -> None:
    registry.sync()
    Relay.objects.update(keeps_return_path=False)
    titles = {item.title: item.light.colour for item in check_sender(school).items}
    assert titles["SPF of school.example"] == "red"
    assert "SPF of news.school.example" not in titles


def test_record_to_publish_names_the_provider_when_it_is_known(
    school: Sender, zone: DnsServer, settings: LazySettings
) -> None:
    settings.EMAIL_URL = "smtp+tls://u:p@email-smtp.eu-west-1.amazonaws.com"
    zone.records.clear()
    assert "include:amazonses.com -all" in check_sender(school).items[0].record


@pytest.mark.parametrize("keeps_return_path", [True, False])
def test_return_path_is_expected_when_the_relay_that_took_the_message_keeps_it(
    school: Sender, staff: User, keeps_return_path: bool
) -> None:
    registry.sync()
    Relay.objects.update(keeps_return_path=keeps_return_path)
    trip = start_round_trip(school, user=staff)
    email, lane = Email.objects.get(batch=trip.batch_id), Lane.objects.get(job__batch=trip.batch_id)
    (route,) = registry.find_routes(sender_id=school.pk).routes
    Attempt.objects.create(email=email, lane=lane, number=1, outcome=Outcome.SENT, relay=str(route.address))
    expected = find_expected(trip)
    assert expected is not None
    assert expected.keeps_return_path is keeps_return_path


@pytest.mark.parametrize(
    ("taken_by", "expected"),
    [
        ("mail.school.example:587", None),  # two relays have this address, and one of them wants its login
        ("other.school.example:587", True),
        ("gone.school.example:25", None),  # no relay has this address any more
        (None, None),  # it has arrived before the attempt was recorded
    ],
)
def test_return_path_is_not_known_when_the_address_of_the_relay_does_not_say_which_it_was(
    school: Sender, staff: User, settings: LazySettings, taken_by: str | None, expected: bool | None
) -> None:
    settings.RELAY_URLS = {
        "one": "smtp+tls://a:b@mail.school.example",
        "two": "smtp+tls://c:d@mail.school.example",
        "three": "smtp+tls://other.school.example",
    }
    settings.EMAIL_URL = ""
    registry.sync()
    Relay.objects.filter(name="one").update(keeps_return_path=False)
    trip = start_round_trip(school, user=staff)
    email, lane = Email.objects.get(batch=trip.batch_id), Lane.objects.filter(job__batch=trip.batch_id)[0]
    if taken_by:
        Attempt.objects.create(email=email, lane=lane, number=1, outcome=Outcome.SENT, relay=taken_by)
    found = find_expected(trip)
    assert found is not None
    assert found.keeps_return_path is expected


def test_all_is_green_when_the_sender_has_capital_letters(school: Sender, staff: User) -> None:
    Sender.objects.filter(pk=school.pk).update(address="News@School.Example")
    school.refresh_from_db()
    trip = start_round_trip(school, user=staff)
    email, job = Email.objects.get(batch=trip.batch_id), EmailJob.objects.get(batch=trip.batch_id)
    assert job.from_email == "News@School.Example"
    # As the lane writes it: rendering.message takes the domain as it was typed.
    sent = make_message_id(
        key=derive_message_key(settings.SECRET_KEY), email_id=email.pk, job_id=job.pk, domain="School.Example"
    )
    arrive(trip, POSTFIX.replace("<1@school.example>", sent))
    assert check_sender(school).is_green


@pytest.mark.parametrize(
    ("status", "code", "reply", "words"),
    [
        (EmailStatus.SENT, 250, "2.0.0 Ok", "has taken the round trip"),
        (EmailStatus.SENT, None, "A Django backend took it", "has taken the round trip"),
        (EmailStatus.FAILED, 550, "5.1.1 No such user.", "did not take the round trip: 550 5.1.1 No such user. Send"),
        (EmailStatus.UNKNOWN, None, "The worker died.", "Nobody knows whether"),
        (EmailStatus.CANCELLED, None, "", "was cancelled. Send another one"),
        (EmailStatus.SUPPRESSED, None, "manual", "was not sent: manual. Send"),
    ],
)
def test_round_trip_that_ended_says_how(
    school: Sender, staff: User, status: EmailStatus, code: int | None, reply: str, words: str
) -> None:
    trip = start_round_trip(school, user=staff)
    emails = Email.objects.filter(batch=trip.batch_id)
    emails.update(status=status, code=code, reply=reply, completed_at=trip.created_at)
    assert words in check_sender(school).waits


def test_policy_is_not_called_strict_when_the_relay_puts_the_sender_in_mail_from(
    school: Sender, zone: DnsServer
) -> None:
    zone.records["_dmarc.school.example txt"] = [quoted("v=DMARC1; p=none; aspf=s")]
    registry.sync()
    lights = []
    for keeps_return_path in (True, False):
        Relay.objects.update(keeps_return_path=keeps_return_path)
        items = {item.title: item.light.colour for item in check_sender(school).items}
        lights.append(items["DMARC of school.example"])
    assert lights == ["amber", "green"]


def test_record_is_shown_as_text_when_it_has_html(school: Sender, zone: DnsServer, client: Client, staff: User) -> None:
    zone.records["news.school.example txt"] = [quoted("v=spf1 <script>alert(1)</script> -all")]
    client.force_login(staff)
    page = show(client, school)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
