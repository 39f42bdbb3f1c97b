"""A relay's octets as replies, and what is refused."""

from __future__ import annotations

import pytest

from batches.smtp.replies import (
    KNOWN_MAX,
    LINE_MAX_OCTETS,
    LINES_MAX,
    TEXT_MAX_CHARS,
    Reply,
    ReplyReader,
    ReplyViolation,
)


def read(*parts: bytes) -> list[tuple[int, str]]:
    reader = ReplyReader()
    return [(reply.code, reply.text) for part in parts for reply in reader.feed(part)]


@pytest.mark.parametrize(
    ("octets", "replies"),
    [
        (b"250 2.0.0 Ok\r\n", [(250, "2.0.0 Ok")]),
        (b"250 2.0.0 Ok\n", [(250, "2.0.0 Ok")]),
        (b"250\r\n", [(250, "")]),
        (b"250 \r\n", [(250, "")]),
        (b"354 Go on\r\n250 Ok\r\n", [(354, "Go on"), (250, "Ok")]),
        (b"550-5.1.1 No\r\n550-such\r\n550 user\r\n", [(550, "5.1.1 No such user")]),
        (b"550-No\r\n550\r\n", [(550, "No")]),
    ],
)
def test_replies_are_whole_when_their_octets_come_in_any_parts(octets: bytes, replies: list[tuple[int, str]]) -> None:
    assert read(octets) == replies
    assert read(*(octets[at : at + 1] for at in range(len(octets)))) == replies
    assert read(octets[:5], octets[5:]) == replies


@pytest.mark.parametrize("line", [b"hello", b"", b"99 no", b"999 no", b"199 no", b"600 no", b"250+no", b"2x0 no"])
def test_line_is_refused_when_it_is_not_a_reply(line: bytes) -> None:
    with pytest.raises(ReplyViolation, match="not an SMTP reply"):
        read(line + b"\r\n")


def test_reply_is_refused_when_its_code_changes() -> None:
    with pytest.raises(ReplyViolation, match="changes its code"):
        read(b"250-one\r\n550 two\r\n")


def test_line_is_refused_when_it_is_longer_than_allowed() -> None:
    longest = b"250 " + b"x" * (LINE_MAX_OCTETS - 5) + b"\r"
    assert [code for code, _ in read(longest + b"\n")] == [250]
    with pytest.raises(ReplyViolation, match="too long"):
        read(b"250 x" + longest[4:] + b"\n")


def test_line_is_refused_before_its_end_when_it_has_none() -> None:
    """Otherwise a relay could fill our memory."""
    reader = ReplyReader()
    reader.feed(b"250 " + b"x" * (LINE_MAX_OCTETS - 4))
    with pytest.raises(ReplyViolation, match="without an end"):
        reader.feed(b"x")


def test_reply_is_refused_when_it_has_too_many_lines() -> None:
    line = b"250-more\r\n"
    assert len(read(line * (LINES_MAX - 1) + b"250 end\r\n")) == 1
    with pytest.raises(ReplyViolation, match="too long"):
        read(line * (LINES_MAX + 1))


def test_replies_stay_their_own_when_more_lines_come_than_are_cached() -> None:
    lines = [b"250 2.0.0 queued as %d\r\n" % number for number in range(3 * KNOWN_MAX)]
    expected = [(250, f"2.0.0 queued as {number}") for number in range(3 * KNOWN_MAX)]
    assert read(b"".join(lines)) == expected
    assert read(*lines, *lines) == expected * 2


def test_cache_is_emptied_when_it_is_full() -> None:
    """A cached reply is the same object each time. Otherwise a relay could fill our memory with replies that differ."""
    reader = ReplyReader()
    [first] = reader.feed(b"250 2.0.0 Ok\r\n")
    for number in range(KNOWN_MAX - 1):
        reader.feed(b"250 2.0.0 queued as %d\r\n" % number)
    [cached] = reader.feed(b"250 2.0.0 Ok\r\n")
    assert cached is first
    reader.feed(b"250 2.0.0 one more\r\n")
    [read_again] = reader.feed(b"250 2.0.0 Ok\r\n")
    assert read_again == first
    assert read_again is not first


def test_text_is_one_printable_line_when_the_octets_are_odd() -> None:
    assert Reply(550, b" 5.1.1 Zo\xc3\xab\x07\x1b[31m\xff bad\r").text == "5.1.1 Zoë [31m� bad"
    assert Reply(550, b"x" * 2 * TEXT_MAX_CHARS).text == "x" * TEXT_MAX_CHARS
