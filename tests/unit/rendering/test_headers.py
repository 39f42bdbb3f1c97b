"""A name in From or Reply-To is what readers show, whatever letters and signs it has.

Three readers parse each header: the standard library's old and new parser, and a strict one of this file. The new
parser reads the addresses only, because it puts a space between encoded words, those of the library itself too.
"""

from __future__ import annotations

import binascii
import email
import re
from email import policy
from email.header import decode_header, make_header
from email.utils import getaddresses

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batches.mailboxes import Mailbox, parse_mailbox
from batches.rendering.headers import encode_mailbox
from batches.sender_addresses import check_name

ADDRESS = "news@example.org"
LONG = "Association of Parents, Teachers and Friends of the Northtown Primary School"
NAMES = [
    "News",
    "The Northtown Primary School",
    LONG,
    LONG.replace(",", ""),
    'Jo "the boss" Smith, Jr.',
    'back\\slash \\" quote',
    "Smith (Headmaster); <none>: [x] @home",
    "St. Mary's",
    "名" * 60,
    "Grüße, Verein",
    "Élèves & parents (école)",
    "בית ספר נורת'טאון \u200f(ירושלים)",
    "مدرسة الشمال، القاهرة",
    "👩‍👩‍👧‍👦 Family 🏳️‍🌈" * 6,
    "山田\u3000太郎",
    "=?utf-8?q?not_encoded?=",
    'a "=?utf-8?b?QQ==?=" b',
    "x" * 200,
    '"' * 200,
    "a" * 70 + " " + "b" * 70,
    "one, " * 40,
    "100 % %s %(name)s",
    "~!#$%&'*+-/=?^_`{|}",
    "a@b.example",
    "Tab-free " + "é" * 13 + "ab",
]

ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
STRICT = re.compile(rf'(?:(?:{ATOM}|"(?:[^"\\\r\n]|\\[ -~])*") )*<({ATOM}(?:\.{ATOM})*@[a-z0-9.-]+)>')
WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|([^" ]+)')
ENCODED_WORD = re.compile(r"=\?utf-8\?b\?([A-Za-z0-9+/]+=*)\?=")

names = st.text(
    alphabet=st.one_of(
        st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), st.sampled_from('",\\()<>[]:;@.=? éü名👩\u200d')
    ),
    max_size=200,
).map(check_name)


def read_strictly(value: str) -> tuple[str, str]:
    """Read an unfolded value by RFC 5322 section 3.2 and RFC 2047 section 2, with nothing tolerated."""
    match = STRICT.fullmatch(value)
    assert match, value
    texts: list[str] = []
    was_encoded = False
    for word in WORD.finditer(value[: match.start(1) - 1]):
        encoded = ENCODED_WORD.fullmatch(word[2] or "")
        if texts and not (encoded and was_encoded):
            texts.append(" ")
        octets = binascii.a2b_base64(encoded[1], strict_mode=True) if encoded else b""
        plain = re.sub(r"\\(.)", r"\1", word[1]) if word[1] is not None else word[2]
        texts.append(octets.decode("utf-8") if encoded else plain)
        was_encoded = encoded is not None
    return "".join(texts), match[1]


def check_lines(field: bytes) -> str:
    """Check the lines of a folded field, and return its value unfolded."""
    assert field.isascii()
    lines = field.decode().split("\r\n")
    assert not any("\r" in line or "\n" in line or not line.strip() for line in lines)
    assert all(line[0] == " " and line[1] != " " for line in lines[1:])
    assert max(map(len, lines)) <= 76
    assert all(len(word[0]) <= 75 for word in re.finditer(r"=\?[^?\s]+\?[bq]\?[^?]*\?=", field.decode()))
    return "".join(lines).partition(": ")[2]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("field", ["From", "Reply-To"])
def test_name_is_what_readers_show(field: str, name: str) -> None:
    check_all_readers(field, check_name(name))


@given(name=names.filter(bool))
@example(name="a" * 66 + " b")
@example(name="a" * 67)
@example(name='x " y')
@example(name="\\")
@example(name="a =? b")
def test_name_is_what_readers_show_when_it_is_any(name: str) -> None:
    check_all_readers("From", name)


def check_all_readers(field: str, name: str) -> None:
    encoded = encode_mailbox(field, Mailbox(name, ADDRESS))
    value = check_lines(encoded)

    assert read_strictly(value) == (name, ADDRESS)

    old = getaddresses([value])
    assert [address for _, address in old] == [ADDRESS]
    assert str(make_header(decode_header(old[0][0]))) == name

    message = email.message_from_bytes(encoded + b"\r\n\r\n", policy=policy.SMTP)
    assert message.keys() == [field]
    assert [mailbox.addr_spec for mailbox in message[field].addresses] == [ADDRESS]
    assert not [each for each in message[field].defects if "encoded" not in str(each)]

    assert parse_mailbox(str(Mailbox(name, ADDRESS))) == Mailbox(name, ADDRESS)


def test_name_with_a_comma_stays_in_its_quotation_marks_when_the_header_is_folded() -> None:
    encoded = encode_mailbox("From", Mailbox(LONG, ADDRESS))
    assert encoded.count(b"\r\n") == 1
    assert getaddresses([encoded.decode().partition(": ")[2].replace("\r\n", "")]) == [(LONG, ADDRESS)]


def test_header_has_the_address_alone_when_there_is_no_name() -> None:
    assert encode_mailbox("From", Mailbox("", ADDRESS)) == b"From: news@example.org"


def test_no_line_is_over_998_when_the_address_is_as_long_as_it_may_be() -> None:
    address = "a" * 64 + "@" + ".".join(["b" * 60] * 3) + ".org"
    lines = encode_mailbox("From", Mailbox("名" * 200, address)).split(b"\r\n")
    assert max(map(len, lines)) < 998
    assert lines[-1] == f" <{address}>".encode()
