"""A From value is read as a person means it, and refused with a reason if no mail can come from it."""

from __future__ import annotations

import re

import pytest

from batches.mailboxes import Mailbox, SenderFault, parse_mailbox, split_mailbox
from batches.sender_addresses import check_address, join_sender, read_sender, refuse_local


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("news@example.org", "", "news@example.org"),
        (" <news@example.org> ", "", "news@example.org"),
        ("News <news@Example.ORG>", "News", "news@example.org"),
        ('"Parents, Teachers" <news@example.org>', "Parents, Teachers", "news@example.org"),
        ("Grüße, Verein <n@bücher.example>", "Grüße, Verein", "n@xn--bcher-kva.example"),
        (r'"Jo \"the boss\" \\ Smith" <a@example.org>', r'Jo "the boss" \ Smith', "a@example.org"),
        ('"A" & "B" <a@example.org>', "A & B", "a@example.org"),
        ("a@example.org (The News)", "The News", "a@example.org"),
        ("School (Northtown) <a@example.org>", "School (Northtown)", "a@example.org"),
        ("a@example.org <a@example.org>", "a@example.org", "a@example.org"),
        ('"a@example.org, b" <c@example.org>', "a@example.org, b", "c@example.org"),
        ("webmaster@localhost", "", "webmaster@localhost"),
        ("root@intranet", "", "root@intranet"),
        ("News <news@school.local>", "News", "news@school.local"),
        ("news@почта.рф", "", "news@xn--80a1acny.xn--p1ai"),
        ("n@xn--bcher-kva.example", "", "n@xn--bcher-kva.example"),
    ],
)
def test_sender_is_read_as_a_person_means_it(text: str, name: str, address: str) -> None:
    mailbox = read_sender(text)
    assert mailbox == (name, address)
    assert parse_mailbox(str(mailbox)) == mailbox
    assert split_mailbox(str(mailbox)) == mailbox


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("Name <>", "is empty"),
        ("nobody", "no @-sign"),
        ("News news@example.org", "space"),
        ("News <news@example.org", "space"),
        ("<news@example.org", "angle brackets"),
        ("a@example.org, b@example.org", "two addresses"),
        ("a@example.org; b@example.org", "two addresses"),
        ("A <a@example.org>, B <b@example.org>", "two addresses"),
        ("a@example.org, B <b@example.org>", "two addresses"),
        ("a@b@example.org", "'@'"),
        ("@example.org", "before the @-sign"),
        ("a@", "after the @-sign"),
        ("a@-example.org", "hyphen"),
        ("a@example..org", "two periods"),
        ("a@exa_mple.org", "'_'"),
        ("a@[192.0.2.1]", "IP address"),
        ("a@xn--a.org", "IDNA"),
        (f"{'a' * 65}@example.org", "too long before"),
        (f"a@{'b' * 64}.org", "1 character too many"),
        (f"a@{'.'.join(['b' * 60] * 5)}.org", "too long"),
        ("grüße@example.org", "The letter ü is before the @-sign"),
        ("a@example.org\r\nBcc: b@example.org", "control character (U+000D)"),
        ("a\x00 <a@example.org>", "control character (U+0000)"),
        ("a\x85 <a@example.org>", "control character (U+0085)"),
        ("Bank \u202egro.knab <a@example.org>", "invisible character (U+202E)"),
        ("\u2067Bank\u2069 <a@example.org>", "invisible character (U+2067)"),
        ("\udce9 <a@example.org>", "half of a character"),
        (f"{'n' * 201} <a@example.org>", "201 characters"),
    ],
)
def test_sender_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(SenderFault, match=re.escape(reason)):
        read_sender(text)


def test_name_is_refused_when_its_escapes_make_it_too_long_for_a_job() -> None:
    with pytest.raises(SenderFault, match="too many quotation marks"):
        join_sender('"' * 200, f"a@{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 20}.org")


@pytest.mark.parametrize("address", ["a@localhost", "a@intranet", "a@x.localhost", "a@x.invalid"])
def test_address_without_a_domain_of_the_internet_is_refused_where_it_matters(address: str) -> None:
    with pytest.raises(SenderFault, match="Nobody can answer to"):
        refuse_local(check_address(address))


@pytest.mark.parametrize("address", ["a@example.org", "a@school.local", "a@x.test"])
def test_address_with_a_domain_is_accepted(address: str) -> None:
    refuse_local(check_address(address))


@pytest.mark.parametrize(
    ("stored", "address"),
    [
        ("a@example.org, b@example.org", "a@example.org"),
        ('"a b"@example.org', '"a b"@example.org'),
        ("Name <a@[192.0.2.1]>", "a@[192.0.2.1]"),
        ("Na\x85me <a@example.org>", "a@example.org"),
    ],
)
def test_job_of_an_older_release_can_still_be_sent(stored: str, address: str) -> None:
    assert parse_mailbox(stored).address == address


def test_mailbox_is_shown_without_the_signs_of_a_header() -> None:
    mailbox = Mailbox('Jo "the boss", Smith', "a@example.org")
    assert mailbox.shown == 'Jo "the boss", Smith <a@example.org>'
    assert str(mailbox) == r'"Jo \"the boss\", Smith" <a@example.org>'
