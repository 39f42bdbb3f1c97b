"""What mail servers answer to FETCH, as imaplib gives it."""

from __future__ import annotations

import pytest

from batches.returns.doors.imap import read_contents

ANSWERS = {
    "uid first": [(b"1 (UID 7 BODY[]<0> {3}", b"abc"), b")", (b"2 (UID 8 BODY[]<0> {2}", b"de"), b")"],
    "uid last": [(b"1 (BODY[]<0> {3}", b"abc"), b" UID 7)", (b"2 (BODY[]<0> {2}", b"de"), b" UID 8)"],
    "flags beside": [
        (b"1 (UID 7 BODY[]<0> {3}", b"abc"),
        b")",
        b"9 (FLAGS (\\Seen))",
        (b"2 (UID 8 BODY[] {2}", b"de"),
        b")",
    ],
}
EMPTY = {
    "literal": [(b"1 (UID 7 BODY[]<0> {0}", b""), b")"],
    "literal, uid last": [(b"1 (BODY[]<0> {0}", b""), b" UID 7)"],
    "string": [b'1 (UID 7 BODY[]<0> "")'],
    "string, uid last": [b'1 (BODY[] "" UID 7)'],
    "nil": [b"1 (UID 7 BODY[]<0> NIL)"],
}


@pytest.mark.parametrize("parts", ANSWERS.values(), ids=ANSWERS.keys())
def test_each_message_is_found_by_its_uid(parts: list[bytes | tuple[bytes, bytes]]) -> None:
    assert read_contents(parts) == {"7": b"abc", "8": b"de"}


@pytest.mark.parametrize("parts", EMPTY.values(), ids=EMPTY.keys())
def test_empty_message_is_found_so_that_it_is_moved_and_counted(parts: list[bytes | tuple[bytes, bytes]]) -> None:
    assert read_contents([*parts, (b"2 (UID 8 BODY[]<0> {2}", b"de"), b")"]) == {"7": b"", "8": b"de"}


@pytest.mark.parametrize("parts", [[None], [b"9 (UID 7 FLAGS (\\Seen))"], []])
def test_nothing_is_found_where_no_content_is(parts: list[bytes | tuple[bytes, bytes] | None]) -> None:
    assert read_contents(parts) == {}
