"""The command ``suppress``."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from batches.models import AuditEntry, Suppression, SuppressionReason, Topic
from batches.models.topic import NEWS_TOPIC
from batches.suppressions import find_digest, is_suppressed, list_of, suppress

pytestmark = pytest.mark.django_db


def run(*argv: str) -> str:
    stdout = io.StringIO()
    call_command("suppress", *argv, stdout=stdout, stderr=io.StringIO())
    return stdout.getvalue()


def test_address_gets_no_mail_of_a_topic_until_a_day() -> None:
    assert "no mail of the topic news" in run("ann@example.org", "--topic", "news", "--until", "2199-03-31")
    row = list_of(find_digest("ann@example.org")).get()
    assert row.topic is not None and row.ends_at is not None
    assert (row.topic.key, row.reason, row.ends_at.year) == ("news", SuppressionReason.MANUAL, 2199)
    assert AuditEntry.objects.filter(via="command suppress").exists()


def test_long_source_is_cut_as_that_of_a_file_is() -> None:
    run("ann@example.org", "--source", "x" * 300)
    assert Suppression.objects.get().source == "x" * 200


def test_file_may_have_a_name_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"g\xf6ne.csv")
    path.write_text("email\nann@example.org\n")
    assert "Added: 1." in run("--import", str(path))
    assert Suppression.objects.get().source == "g?ne.csv"


def test_address_is_taken_off() -> None:
    assert "gets no mail" in run("ann@example.org", "--reason", "bounced")
    assert "already" in run("ann@example.org", "--reason", "bounced")
    assert "off the list" in run("ann@example.org", "--lift")
    assert "not on the list" in run("ann@example.org", "--lift")
    assert not is_suppressed("ann@example.org")


def test_objection_of_a_recipient_is_not_lifted_by_the_way() -> None:
    news = Topic.objects.get(key=NEWS_TOPIC)
    suppress("ann@example.org", reason=SuppressionReason.BOUNCED)
    suppress("ann@example.org", reason=SuppressionReason.UNSUBSCRIBED, topic=news)
    with pytest.raises(CommandError, match=r"unsubscribed.*reason.*bounced"):
        run("ann@example.org", "--lift")
    assert "off the list" in run("ann@example.org", "--lift", "--reason", "bounced")
    with pytest.raises(CommandError, match="unsubscribed"):
        run("ann@example.org", "--lift", "--topic", "news")
    assert [row.reason for row in Suppression.objects.all()] == [SuppressionReason.UNSUBSCRIBED]
    assert "off the list" in run("ann@example.org", "--lift", "--reason", "unsubscribed")
    assert not Suppression.objects.exists()


def test_file_is_imported_and_bad_lines_are_named(tmp_path: Path) -> None:
    path = tmp_path / "gone.csv"
    path.write_text("email\nann@example.org\nbo@example.org\n")
    assert "Added: 2." in run("--import", str(path))
    path.write_text("email\nann@example.org\nnobody\n")
    with pytest.raises(CommandError, match="Lines that could not be used: 1"):
        run("--import", str(path))
    assert set(Suppression.objects.values_list("reason", flat=True)) == {"imported"}


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "Name an address"),
        (["ann@example.org", "--import", "x"], "not both"),
        (["nobody"], "@"),
        (["ann@example.org", "--topic", "nope"], "There is no topic"),
        (["ann@example.org", "--until", "soon"], "is no day"),
        (["--import", "/nowhere/list.csv"], "can't be read"),
        ([os.fsdecode(b"b\xfc@example.org")], "can't be used"),
        (["--import", __file__, "--until", "2001-01-01"], "past"),
    ],
)
def test_command_says_what_is_wrong(argv: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        run(*argv)
    assert not Suppression.objects.exists()
