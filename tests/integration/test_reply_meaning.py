"""The admin's page "What would this reply mean?"."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from batches.smtp import meanings

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_relay"))
    client.force_login(user)
    return client


def ask(client: Client, stage: str, reply: str) -> str:
    return client.get(reverse("reply_meaning"), {"stage": stage, "reply": reply}).content.decode()


def test_page_is_for_those_who_may_see_relays(client: Client) -> None:
    assert client.get(reverse("reply_meaning")).status_code == 302
    client.force_login(User.objects.create_user("user"))
    assert client.get(reverse("reply_meaning")).status_code == 302
    client.force_login(User.objects.create_user("clerk", is_staff=True))
    assert client.get(reverse("reply_meaning")).status_code == 403
    assert reverse("reply_meaning") not in client.get("/admin/").content.decode()


@pytest.mark.parametrize(
    "line",
    [
        "550 5.4.5 Daily user sending limit exceeded",
        "550\t5.4.5  Daily user sending limit exceeded",
        "\ufeff550 5.4.5 Daily user sending limit exceeded",
        "<<< 550 5.4.5 Daily user sending limit exceeded",
        "550-5.4.5 Daily user sending\r\n550 5.4.5 limit exceeded",
        "status=bounced (host smtp.x.example[192.0.2.1]:587 said: 550 5.4.5 Daily user sending limit exceeded "
        "(in reply to end of DATA command))",
        "SMTP error from remote mail server after end of data: host x [192.0.2.1]: 550-5.4.5 Daily user sending\n"
        "550 5.4.5 limit exceeded",
    ],
)
def test_reply_is_found_in_what_an_operator_copies(staff: Client, line: str) -> None:
    page = ask(staff, "message", line)
    assert "<td>5.4.5</td>" in page
    assert "<td>Daily user sending limit exceeded</td>" in page


@pytest.mark.parametrize("line", ["port 587 said no", "status=sent", "\u0665\u0665\u0660 no"])
def test_page_says_so_when_there_is_no_code(staff: Client, line: str) -> None:
    assert "There is no code." in ask(staff, "message", line)


def test_admin_and_the_list_of_relays_lead_to_the_page(admin_client: Client) -> None:
    link = f'href="{reverse("reply_meaning")}"'
    assert admin_client.get(reverse("admin:index")).content.decode().count(link) == 1
    assert admin_client.get(reverse("admin:batches_relay_changelist")).content.decode().count(link) == 2


@pytest.mark.parametrize(
    ("stage", "reply", "sentences"),
    [
        (
            "message",
            "550 5.4.5 Daily user sending limit exceeded",
            [
                "The quota is used up.",
                "No recipient is charged an attempt. The relay is paused for 1 hour.",
                "reply_rules.toml, line ",
                "support.google.com/a/answer/3726730",
                "<td>5.4.5</td>",
            ],
        ),
        ("mail", "450 4.7.1 Error: too much mail", ["Too fast.", "for a short time, longer after each failure"]),
        (
            "rcpt",
            "553 5.7.1 <n@x.example>: Sender address rejected: not owned by user",
            ["paused for mail of this sender"],
        ),
        (
            "rcpt",
            "550 5.1.1 <kim@x.example>: User unknown",
            ["About the recipient.", "The recipient fails.", "&lt;*&gt;"],
        ),
        ("rcpt", "452 4.2.2 Mailbox full", ["attempted again later, and fails after 3 attempts."]),
        (
            "rcpt",
            "554 5.7.1 <kim@x.example>: Relay access denied",
            [
                "The words are the same when only this recipient is refused.",
                "The recipient fails. If the relay refuses many",
            ],
        ),
        (
            "message",
            "550 spam message rejected",
            ["About the message.", "The recipient fails. If the relay refuses many"],
        ),
        ("rcpt", "550 Nope", ["Unknown: it may be", "If the relay refuses many", "No rule names this reply."]),
        (
            "message",
            "421-4.7.28 Gmail has detected an unusual\n421-4.7.28 rate of mail\n421 4.7.28 today",
            ["15 minutes"],
        ),
        ("rcpt", "250 2.1.5 Ok", ["250 is no refusal."]),
        ("rcpt", "Relay access denied", ["Begin with the code of the reply"]),
        ("rcpt", "   ", ["This field is required."]),
        ("quit", "550 No", ["Select a valid choice."]),
    ],
)
def test_answer_says_what_the_program_does(staff: Client, stage: str, reply: str, sentences: list[str]) -> None:
    page = ask(staff, stage, reply)
    assert [sentence for sentence in sentences if sentence not in page] == []
    assert ('id="answer"' in page) == (stage != "quit" and reply[:1] in "45")


def test_markup_in_a_reply_is_text(staff: Client) -> None:
    page = ask(staff, "rcpt", "550 <script>alert(1)</script>")
    assert "<script>alert" not in page


def test_file_of_the_site_is_read_again_for_each_question(staff: Client, tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "rules.toml"
    settings.SEND_REPLY_RULES = str(path)
    path.write_text("[[rule]]\npattern = 'nope'\nmeaning = 'relay'\nwait = '90s'\nnote = 'Ours.'\n")
    assert f"{path}, line 1" in ask(staff, "rcpt", "550 Nope")
    path.write_text("[[rule]]\n")
    page = ask(staff, "rcpt", "550 Nope")
    assert "the rule fits every reply" in page
    assert "90 seconds" in page
    settings.SEND_REPLY_RULES = ""
    meanings.refresh()
