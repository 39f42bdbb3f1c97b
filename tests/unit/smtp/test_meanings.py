"""Replies of real relays, each with what it means; and the reading of addresses and files of rules."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from batches.outcomes import Outcome, ReplyMeaning
from batches.smtp import meanings
from batches.smtp.replies import Reply
from batches.smtp.reply_rules import CHARGED, OF_ONE_EMAIL, STAGES
from batches.smtp.stages import Stage
from batches.smtp.verdicts import judge

DATA = Path(__file__).parents[2] / "data"
TABLE = DATA / "replies.txt"
WRITTEN = DATA / "replies_written.txt"
"""Replies that no relay is known to have said, so they count as no evidence."""

OWN_RULES = meanings.Rules(meanings.read_own_rules())


class RealReply(NamedTuple):
    stage: Stage
    reply: Reply
    meaning: ReplyMeaning | None
    outcome: Outcome
    wait_seconds: float | None
    source: str


def read_table(path: Path) -> tuple[list[RealReply], dict[str, str]]:
    """Read the table, and its sources by their short names."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    sources = dict(line[1:].split(" = ", 1) for line in lines if line.startswith("@"))
    return [read_line(line) for line in lines if not line.startswith("@")], sources


def read_line(line: str) -> RealReply:
    stage, reply, meaning, outcome, wait, source = line.split(" | ")
    return RealReply(
        STAGES[stage][0],
        Reply(int(reply[:3]), reply[4:].encode()),
        None if meaning == "-" else ReplyMeaning(meaning),
        Outcome(outcome),
        None if wait == "-" else float(wait),
        source,
    )


REPLIES, SOURCES = read_table(TABLE)
WRITTEN_REPLIES, _ = read_table(WRITTEN)


@pytest.mark.parametrize(
    "real", [*REPLIES, *WRITTEN_REPLIES], ids=lambda real: f"{real.stage.name}-{real.reply.code} {real.reply.text[:60]}"
)
def test_reply_means_what_its_table_says(real: RealReply) -> None:
    verdict = judge(real.stage, real.reply)
    assert (verdict.meaning, verdict.outcome, verdict.wait_seconds) == (real.meaning, real.outcome, real.wait_seconds)
    assert (verdict.code, verdict.reply) == (real.reply.code, real.reply.text)
    if verdict.outcome is not Outcome.REQUEUED:
        assert verdict.is_recognised == (real.meaning in CHARGED)


def test_table_is_large_and_names_its_sources() -> None:
    assert len(REPLIES) >= 300
    assert {real.source for real in REPLIES} == set(SOURCES)
    assert {real.meaning for real in REPLIES} == {None, *ReplyMeaning}
    assert {real.stage for real in REPLIES} == {Stage.CONNECT, Stage.LOGIN, Stage.MAIL, *OF_ONE_EMAIL}


def test_each_rule_names_a_reply_of_the_tables() -> None:
    replies = [*REPLIES, *WRITTEN_REPLIES]
    found = [OWN_RULES.find(real.stage, real.reply.code, real.reply.text) for real in replies]
    assert {rule.place for rule in OWN_RULES.rules} == {each.rule.place for each in found if each}


@pytest.mark.parametrize("code", [450, 550])
@pytest.mark.parametrize("stage", [Stage.RCPT, Stage.DATA, Stage.FINAL])
def test_words_about_one_recipient_never_pause_a_relay(stage: Stage, code: int) -> None:
    lines = (DATA / "recipient_words.txt").read_text().splitlines()
    words = [line for line in lines if line and not line.startswith("#")]
    assert len(words) > 70
    charged = Outcome.DEFERRED if code < 500 else Outcome.FAILED
    wrong = {
        text: verdict for text in words if (verdict := judge(stage, Reply(code, text.encode()))).outcome != charged
    }
    assert wrong == {}


@given(
    st.sampled_from([Stage.CONNECT, Stage.LOGIN, Stage.MAIL, Stage.CLEAR]),
    st.integers(400, 499),
    st.one_of(st.text(max_size=80), st.sampled_from([real.reply.text for real in REPLIES])),
)
def test_no_recipient_is_charged_when_a_stage_without_recipient_is_refused_for_now(
    stage: Stage, code: int, text: str
) -> None:
    verdict = judge(stage, Reply(code, text.encode()))
    assert verdict.outcome is Outcome.REQUEUED
    assert verdict.meaning is not None
    assert verdict.meaning not in CHARGED


@given(
    st.sampled_from([Stage.RCPT, Stage.DATA, Stage.FINAL]),
    st.integers(400, 599),
    st.one_of(st.text(max_size=80), st.sampled_from([real.reply.text for real in REPLIES])),
)
def test_first_digit_decides_when_a_recipient_is_charged(stage: Stage, code: int, text: str) -> None:
    verdict = judge(stage, Reply(code, text.encode()))
    assert verdict.outcome in (Outcome.REQUEUED, Outcome.DEFERRED if code < 500 else Outcome.FAILED)
    if verdict.outcome is Outcome.REQUEUED:
        assert verdict.is_recognised
        assert verdict.meaning not in (None, *CHARGED)


@pytest.mark.parametrize("local", ["daily.quota.exceeded", "spam", "too.many.messages", "sender.address.rejected"])
@pytest.mark.parametrize("shape", ["<{}>: nobody of that name", "{}... nobody of that name", "nobody ({})", "to={}"])
def test_words_in_an_address_decide_nothing(local: str, shape: str) -> None:
    for address in (f"{local}@school.example", f"kim@{local}.example"):
        verdict = judge(Stage.RCPT, Reply(550, shape.format(address).encode()))
        assert (verdict.meaning, verdict.is_recognised) == (None, False)


@pytest.mark.parametrize(
    ("code", "text", "enhanced", "words"),
    [
        (550, "5.1.1 <kim@x.example>: User unknown", "5.1.1", "<*>: User unknown"),
        (550, "#5.1.0 Address rejected.", "5.1.0", "Address rejected."),
        (550, "sorry, no mailbox here (#5.1.1)", "5.1.1", "sorry, no mailbox here (#)"),
        (421, "4.7.0 Our system 4.7.0 has detected", "4.7.0", "Our system has detected"),
        (550, "blocked 5.1.1.7 here", "", "blocked 5.1.1.7 here"),
        (550, "version 4.2.1 says no", "", "version 4.2.1 says no"),
        (451, "4.3.0 id d2e1a72fcca58-7a2b3c4d5e6sor123456 - gsmtp", "4.3.0", "id * - gsmtp"),
        (550, "gone, see https://help.x.example/rate-limit?to=kim@x.example", "", "gone, see help.x.example"),
        (550, "", "", ""),
    ],
)
def test_text_is_taken_apart(code: int, text: str, enhanced: str, words: str) -> None:
    assert meanings.read_reply(code, text) == (enhanced, words)


def test_refusal_at_mail_waits_as_stated_when_no_rule_names_it() -> None:
    verdict = judge(Stage.MAIL, Reply(450, b"4.9.9 Nothing now, come again in 3 minutes"))
    assert (verdict.meaning, verdict.wait_seconds) == (ReplyMeaning.RATE, 180)


@pytest.mark.parametrize(
    "text",
    [
        "4.4.2 mx.relay.example Error: timeout exceeded",
        "relay.example: SMTP command timeout - closing connection",
        "4.4.1 Connection timed out",
        "Timeout waiting for data from client.",
        "4.7.0 Connection expired, try reconnecting.",
        "4.7.0 relay.example Error: too many errors",
        "Max message per connection reached, closing transmission channel",
    ],
)
def test_no_rule_names_a_421_that_ends_one_connection_only(text: str) -> None:
    """The next connection takes mail at once, so there is nothing to wait for."""
    assert OWN_RULES.find(Stage.MAIL, 421, text) is None


def test_remembered_reply_gets_its_own_wait() -> None:
    rules = meanings.Rules(OWN_RULES.rules)
    waits = [rules.find(Stage.MAIL, 450, f"Too many messages. Try again in {seconds} seconds.") for seconds in (5, 9)]
    assert [found and found.wait_seconds for found in waits] == [5, 9]


# --- a site's own rules -------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path, settings: Settings) -> Iterator[Path]:
    """A site's file of rules, empty at first, and the rules of this process as they were."""
    path = tmp_path / "rules.toml"
    path.write_text("")
    settings.SEND_REPLY_RULES = str(path)
    meanings.refresh()
    yield path
    settings.SEND_REPLY_RULES = ""
    meanings.refresh()


SITE_RULE = """
[[rule]]
code = 550
pattern = 'User unknown'
meaning = "relay"
wait = "5m"
note = "Our relay says so while its directory is away."
"""
UNKNOWN_USER = Reply(550, b"5.1.1 <kim@x.example>: User unknown")


def test_site_rule_wins_when_both_fit(site: Path) -> None:
    assert judge(Stage.RCPT, UNKNOWN_USER).meaning is ReplyMeaning.RECIPIENT
    site.write_text(SITE_RULE)
    meanings.refresh()
    verdict = judge(Stage.RCPT, UNKNOWN_USER)
    assert (verdict.meaning, verdict.outcome, verdict.wait_seconds) == (ReplyMeaning.RELAY, Outcome.REQUEUED, 300)
    assert judge(Stage.RCPT, Reply(452, b"4.2.2 Mailbox full")).meaning is ReplyMeaning.RECIPIENT


@pytest.mark.parametrize("broken", ["[[rule]", "[[rule]]\nmeaning = 'relay'", None])
def test_last_good_rules_stay_when_the_file_breaks(
    site: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    site.write_text(SITE_RULE)
    meanings.refresh()
    if broken is None:
        site.unlink()
    else:
        site.write_text(broken)
    with caplog.at_level(logging.ERROR):
        meanings.refresh()
        meanings.refresh()
    assert judge(Stage.RCPT, UNKNOWN_USER).meaning is ReplyMeaning.RELAY
    assert [record.message.endswith("stay in force.") for record in caplog.records] == [True]  # said once


def test_own_rules_hold_when_the_file_was_never_good(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.write_text("[[rule]")
    monkeypatch.setattr(meanings._Current, "rules", None)
    assert judge(Stage.RCPT, UNKNOWN_USER).meaning is ReplyMeaning.RECIPIENT


def test_groups_of_a_pattern_state_the_wait(site: Path) -> None:
    site.write_text(
        "[[rule]]\npattern = 'slow (?P<number>\\d{1,4}) ?(?P<unit>min|sec)'\nmeaning = 'rate'\nwait = '2h'\n"
        "[[rule]]\npattern = 'window(?: (?P<number>\\d{1,4})(?P<unit>m))?'\nmeaning = 'rate'\nwait = '2h'\n"
    )
    meanings.refresh()
    said = [b"go slow 7 min", b"window 9m", b"window", b"window. Try again in 8 seconds"]
    assert [judge(Stage.MAIL, Reply(450, text)).wait_seconds for text in said] == [420, 540, 7200, 7200]


@pytest.mark.parametrize(("said", "seconds"), [(b"ten min", 600), (b"some min", 900), (b"7 fortnights", 900)])
def test_wait_of_the_rule_holds_when_the_groups_found_no_length(site: Path, said: bytes, seconds: float) -> None:
    site.write_text("[[rule]]\npattern = 'slow (?P<number>\\S{1,9}) (?P<unit>\\w+)'\nmeaning = 'rate'\nwait = '15m'\n")
    meanings.refresh()
    assert judge(Stage.MAIL, Reply(450, b"go slow " + said)).wait_seconds == seconds
