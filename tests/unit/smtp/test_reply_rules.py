"""Files of reply rules: what each key does, and the sentence for each fault."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from batches import checks
from batches.outcomes import ReplyMeaning
from batches.smtp.reply_rules import OF_ONE_EMAIL, RuleError, parse_rules, read_rules
from batches.smtp.stages import Stage

RATE = "[[rule]]\nmeaning = 'rate'\n"
RECIPIENT = "[[rule]]\nmeaning = 'recipient'\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[[rule]", "rules.toml is not TOML"),
        ("\n\n[[rule]]\nmeaning = rate\n", "line 4"),
        ("name = 'x'", "rules.toml has 'name', which is no rule. Begin each rule with [[rule]]."),
        ("rule = 3", "not tables"),
        ("rule = [3]", "not tables"),
        ("# a\n\n" + RATE, "rules.toml, line 3: the rule fits every reply"),
        (RATE + "code = 450\n" + RATE, "rules.toml, line 4: the rule fits every reply"),
        ("[[rule]]\ncode = 450", "meaning is None. Set it to one of recipient, content"),
        ("[[rule]]\ncode = 450\nmeaning = 'speed'", "meaning is 'speed'"),
        (RATE + "code = 450\nstages = 'mail'", "'stages' is unknown. A rule may have code, enhanced"),
        (RATE + "code = 450\nstage = 'quit'", "stage is 'quit'. Set it to one or more of connect, login"),
        (RATE + "code = 450\nstage = {}", "stage is {}. Write it as text"),
        (RATE + "code = 250", "code is '250'. Write 550, 45x or 5xx"),
        (RATE + "code = true", "code is True"),
        (RATE + "enhanced = '5.7'", "enhanced is '5.7'. Write 5.7.1, 5.7.x or 4.7.5xx."),
        (RATE + "pattern = '('", "pattern is no regular expression"),
        (RATE + "pattern = 7", "pattern is 7"),
        (RATE + "pattern = '.*'", "pattern fits every text"),
        (RATE + "pattern = 'a|'", "pattern fits every text"),
        (RATE + "pattern = '(?P<number>1)'", "only one of the groups number and unit"),
        (RATE + "pattern = '(a+)+b'", "repeats a group"),
        (RATE + "pattern = '(?:ab){2,3}c'", "repeats a group"),
        (RATE + "pattern = '(a)b\\1'", "refers back"),
        (RATE + "pattern = '.*a.*b'", "too many repeats"),
        (RATE + f"pattern = '{'(?:a|aa)' * 22}b'", "too many repeats or alternatives"),
        (RATE + f"pattern = '{'(a|a)?' * 12}b'", "too many repeats or alternatives"),
        (RATE + "pattern = '[[:alpha:]]x'", "Possible nested set"),
        (RATE + f"pattern = '{'(' * 3000}a{')' * 3000}'", "recursion"),
        (RATE + "pattern = 'a{99999999999999}'", "too large"),
        (RATE + "pattern = 'limit of kim@school'", "has an @-sign"),
        (RATE + "pattern = '^450 too'", "begins with the code"),
        (RATE + r"pattern = '5\.7\.1 Slow'", "Move it to the key enhanced"),
        (RATE + "code = []", "code is an empty list"),
        (RATE + "enhanced = []", "enhanced is an empty list"),
        (RATE + "code = '5٣٣'", "code is '5٣٣'"),
        (RATE + "enhanced = '5.٣.٣'", "enhanced is"),
        (RATE + f"code = {'9' * 5000}", "is not TOML"),
        ("a = " + "[" * 5000, "is not TOML"),
        (RATE + "pattern = 'a.{0,99}b.{0,99}c.{0,99}d'", "too many repeats"),
        (RATE + "code = 450\nwait = '0s'", "wait is '0s'. Write 60s, 15m or 24h"),
        (RATE + "code = 450\nwait = '25h'", "wait is '25h'"),
        (RATE + "code = 450\nwait = 60", "wait is 60"),
        (RATE + "code = 450\nmay_be_one_recipient = 'yes'", "may_be_one_recipient is 'yes'. Set it to true or false."),
        (RATE + "code = 450\nstage = 'mail'\nmay_be_one_recipient = true", "needs one of the stages rcpt, data"),
        (RECIPIENT + "code = 450\nwait = '60s'", "has no wait"),
        (RECIPIENT + "code = 450\nmay_be_one_recipient = true", "has no wait and no may_be_one_recipient"),
        (RECIPIENT + "code = 550\nstage = 'login'", "needs the stages mail, rcpt, data or message"),
        (RECIPIENT + "code = '4xx'\nstage = 'mail'", "needs codes from 500"),
        (RECIPIENT + "pattern = 'x'\nstage = 'mail'", "needs codes from 500"),
    ],
)
def test_fault_is_a_sentence_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(RuleError) as raised:
        parse_rules(text, name="rules.toml")
    assert sentence in str(raised.value)
    assert str(raised.value).startswith("rules.toml")


def test_conditions_hold_together_when_a_rule_has_several() -> None:
    [rule] = parse_rules(
        RATE + "stage = ['mail', 'rset']\ncode = ['45x', 421]\nenhanced = ['4.7.x', '4.7.5xx', '4.3.2']\nwait = '15m'",
        name="x",
    )
    assert rule.stages == {Stage.MAIL, Stage.CLEAR}
    assert (rule.meaning, rule.wait_seconds, rule.place) == (ReplyMeaning.RATE, 900, "x, line 1")
    fits = [(450, "4.7.1"), (459, "4.7.28"), (421, "4.3.2"), (451, "4.7.550")]
    fits_not = [(450, "4.3.1"), (460, "4.7.1"), (450, ""), (450, "5.7.1"), (450, "4.7.1.1")]
    assert all(rule.names(Stage.MAIL, *each) for each in fits)
    assert not any(rule.names(Stage.MAIL, *each) for each in fits_not)
    assert not rule.names(Stage.RCPT, 450, "4.7.1")


def test_stages_are_those_of_one_email_when_a_rule_about_it_names_none() -> None:
    recipient, rate = parse_rules(RECIPIENT + "code = 550\n" + RATE + "code = 450", name="x")
    assert recipient.stages == OF_ONE_EMAIL
    assert rate.stages == set(Stage)


@pytest.mark.parametrize(
    "pattern",
    ["a.{0,40}b", "too many( mails)?", r"\(a\)+", "[)]+x", "a*+b*+c*+d", "x{}y", "a.*b|c.*d", r"\d{3}\d{1,6} per \w+"],
)
def test_pattern_is_accepted_when_it_cannot_be_slow(pattern: str) -> None:
    [rule] = parse_rules(RATE + f"pattern = '{pattern}'", name="x")
    assert rule.pattern is not None


@pytest.mark.parametrize(
    "pattern",
    ["(?:one|two|three|four) " * 9, "(?:send(?:ing)?|out(?:going)?) (?:quota|limit)s?", "(?i:a)(?#b)c", "500 a day"],
)
def test_alternatives_are_accepted_when_few_begin_alike(pattern: str) -> None:
    assert len(parse_rules(RATE + f"pattern = '{pattern}'", name="x")) == 1


@pytest.mark.parametrize(
    ("pattern", "text", "is_found"),
    [
        ("Daily LIMIT", "the daily limit", True),
        (r"\Slimit", " limit", False),
        (r"\Slimit", "xlimit", True),
        ("[A-C]x", "bx", True),
        ("[A-C]x", "dx", False),
        (r"[\S]!", " !", False),
        ("(?P<number>\\d) (?P<unit>M)", "7 m", True),
    ],
)
def test_capitals_of_a_pattern_fit_small_letters(pattern: str, text: str, is_found: bool) -> None:
    [rule] = parse_rules(RATE + f"pattern = '{pattern}'", name="x")
    assert rule.pattern is not None
    assert (rule.pattern.search(text) is not None) == is_found


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "No such file or directory"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[[rule]]\n\nmeaning = 'rate'", "line 1"),
        (b"#" * 1_000_001, "more than 1000000 characters"),
    ],
)
def test_system_check_names_a_file_that_cannot_be_used(
    tmp_path: Path, settings: Settings, content: bytes | None, sentence: str
) -> None:
    path = tmp_path / "rules.toml"
    if content is not None:
        path.write_bytes(content)
    settings.SEND_REPLY_RULES = str(path)
    [fault] = checks.check_reply_rules(None)
    assert fault.id == checks.BAD_REPLY_RULES
    assert sentence in fault.msg
    assert str(path) in fault.msg


def test_system_check_finds_nothing_when_the_rules_are_good(tmp_path: Path, settings: Settings) -> None:
    assert checks.check_reply_rules(None) == []
    path = tmp_path / "rules.toml"
    path.write_text(RATE + "code = 450")
    settings.SEND_REPLY_RULES = str(path)
    assert checks.check_reply_rules(None) == []
    assert [rule.meaning for rule in read_rules(path)] == [ReplyMeaning.RATE]


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbf" + RATE.encode() + b"code = 450", RATE.encode() + b"code\t=\t450\r\n"]
)
def test_file_is_read_when_an_editor_of_windows_wrote_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rules.toml"
    path.write_bytes(content)
    assert [rule.codes for rule in read_rules(path)] == [{450}]
