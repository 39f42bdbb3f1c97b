from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given, settings
from hypothesis import strategies as st

from batches.files.addresses import PLAIN_PATTERN, BadAddress, match_plain, normalise_address

UPSTREAM = json.loads((Path(__file__).parents[2] / "data" / "addresses" / "email_validator.json").read_text())


@pytest.mark.parametrize("address", UPSTREAM["valid"])
def test_address_passes_when_email_validator_tests_call_it_valid(address: str) -> None:
    assert "@" in normalise_address(address)


@pytest.mark.parametrize("address", UPSTREAM["invalid"], ids=ascii)
def test_address_is_refused_when_email_validator_tests_call_it_invalid(address: str) -> None:
    with pytest.raises(BadAddress):
        normalise_address(address)


ATOMS = st.text(alphabet="abcxyzABCXYZ0189_+-", min_size=1, max_size=12)
LABELS = st.lists(st.text(alphabet="abcnxyz0189", min_size=1, max_size=8), min_size=1, max_size=3).map("-".join)
PLAIN = st.builds(
    "{}@{}.{}".format,
    st.lists(ATOMS, min_size=1, max_size=3).map(".".join),
    st.lists(LABELS, min_size=1, max_size=3).map(".".join),
    st.one_of(st.text(alphabet="abcnxyz", min_size=2, max_size=8), st.sampled_from(["com", "arpa", "test", "local"])),
)


@given(PLAIN.filter(match_plain))
@settings(max_examples=500)
def test_plain_address_is_what_email_validator_makes_of_it_when_it_matches_the_pattern(address: str) -> None:
    found = validate_email(address, check_deliverability=False, strict=True)
    assert re.fullmatch(PLAIN_PATTERN, address)
    # email-validator puts the names of RFC 2142 (Info@, Postmaster@) into lower case. We keep the local part as it is.
    assert found.normalized.lower() == address.lower()
    assert found.ascii_domain == address.rpartition("@")[2]


NEARLY = st.text(alphabet="aZ0.-_+@x é<>\"' \t\n", min_size=1, max_size=30)
DOMAINS = st.sampled_from(
    ["x.org", "a--b.org", "-a.org", "a.test", "xn--a.org", "a.b.c", "localhost", "a.onion", "x.o"]
)


@given(st.one_of(PLAIN, NEARLY, st.builds("{}@{}".format, NEARLY, DOMAINS), st.emails()))
@settings(max_examples=1000, deadline=None)
def test_nothing_is_plain_that_email_validator_refuses_when_it_is_nearly_an_address(text: str) -> None:
    if not match_plain(text):
        return
    try:
        validate_email(text, check_deliverability=False, strict=True)
    except EmailNotValidError as exc:  # pragma: no cover
        pytest.fail(f"{text!r} went through, but: {exc}")


@given(st.one_of(PLAIN, NEARLY, st.emails()))
@settings(deadline=None)
def test_stored_form_stays_the_same_when_it_is_normalised_again(text: str) -> None:
    try:
        stored = normalise_address(text)
    except BadAddress:
        return
    assert normalise_address(stored) == stored


@pytest.mark.parametrize(
    ("cell", "stored"),
    [
        ("Ann.Doe@EXAMPLE.com", "Ann.Doe@example.com"),
        ("ann@bücher.de", "ann@xn--bcher-kva.de"),
        ("ann@BÜCHER.de", "ann@xn--bcher-kva.de"),
        ("ann@xn--bcher-kva.de", "ann@xn--bcher-kva.de"),
        ("josé@example.com", "josé@example.com"),
        ("Dr. Jürgen Groß <juergen@example.com>", "juergen@example.com"),
        ('"Doe, Ann" <ann@example.com> ', "ann@example.com"),
        ("\u00a0ann@example.com\ufeff", "ann@example.com"),
        ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
    ],
)
def test_address_has_its_stored_form_when_it_is_written_in_another(cell: str, stored: str) -> None:
    assert normalise_address(cell) == stored


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("", "The address is empty."),
        ("a@b.org\r\nBcc: c@d.org", "The address contains a control character."),
        ("a@b.org\x7f", "The address contains a control character."),
        ("ann@example.com; bob@example.com", "invalid characters"),
        ("a" * 600 + "@b.org", "The address is too long."),
        ("ann@example.com>", "invalid characters"),
        ("a" * 65 + "@example.com", "too long before the @-sign"),
        ("é" * 65 + "@example.com", "too long before the @-sign"),
        ("a@" + "b" * 64 + ".org", "so many characters"),
    ],
)
def test_reason_says_what_is_wrong_when_a_cell_holds_no_address(cell: str, reason: str) -> None:
    with pytest.raises(BadAddress, match=reason):
        normalise_address(cell)


def test_hostile_cells_take_little_time_when_they_are_made_to_backtrack() -> None:
    start = time.process_time()
    for cell in ("a." * 60_000, "a@" + "a." * 60_000, "<" * 100_000, "a@" + "a-" * 60_000 + "!", "\u0301" * 100_000):
        with pytest.raises(BadAddress):
            normalise_address(cell)
    assert time.process_time() - start < 1
