# ruff: noqa: RUF001  signs that look alike

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given, settings
from hypothesis import strategies as st

from batches.files.addresses import (
    PLAIN_PATTERN,
    BadAddress,
    SeveralAddresses,
    find_address,
    is_address,
    match_plain,
    normalise_address,
)

UPSTREAM = json.loads((Path(__file__).parents[2] / "data" / "addresses" / "email_validator.json").read_text())


@pytest.mark.parametrize("address", UPSTREAM["valid"])
def test_address_passes_when_email_validator_tests_call_it_valid(address: str) -> None:
    assert "@" in normalise_address(address)


@pytest.mark.parametrize("cell", UPSTREAM["invalid"], ids=ascii)
def test_cell_is_refused_or_only_signs_are_removed_when_email_validator_tests_call_it_invalid(cell: str) -> None:
    """What email-validator refuses is taken only if nothing but signs and comments clings to an address."""
    try:
        address = normalise_address(cell)
    except BadAddress:
        return
    rest = re.sub(r"\(\w*\s*\)", "", re.sub("[\u202d\u202e]", "", cell)).replace(address, "", 1)
    assert not re.search(r"[\w@]", rest)


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
        ("", "The address is empty. Write it, or remove the row."),
        ("a@b.org\r\nBcc: c@d.org", "The cell holds two addresses. Give each address a line"),
        ("a@b.org\x7f", "The address contains a control character."),
        ("a\x0bb@b.org", "The address contains a control character."),
        ("ann", "must have an @-sign"),
        ("ann (at) example.org", "without its @-sign"),
        ("ann[ät]example.org", "without its @-sign"),
        ("ann at example dot org", "without its @-sign"),
        ("/o=School/ou=Staff/cn=ann", "inside an Exchange server"),
        ("ann@", "nothing after the @-sign"),
        ("@example.org", "nothing before the @-sign"),
        ("ann@@example.org", "more than one @-sign"),
        ("ann@example.orgbo@example.org", "more than one @-sign"),
        ("ann@gmail", "no ending such as .com"),
        ("ann@example,org", "a comma after the @-sign"),
        ("ann @example.org", "a space in the address"),
        ("ann@exam\nple.org", "a line break in the address"),
        ("Ann Berg ann@example.org", "text beside the address ann@example.org"),
        ("an n@example.org", "remove a space that does not belong there"),
        ("ann@exam…", "cut off"),
        ("ann@example.org...", "cut off"),
        ("ann..berg@example.org", "a full stop is in the wrong place"),
        (".ann@example.org", "a full stop is in the wrong place"),
        ("ann@example..org", "a full stop is in the wrong place"),
        ("ann@-example.org", "a hyphen is in the wrong place"),
        ("ann@exam_ple.org", "an underscore"),
        ("ann@exam”ple.org", "a curly quotation mark"),
        ("a’n@example.org", "a curly apostrophe"),
        ("ann@exa€mple.org", "the sign €"),
        ("ann@ex\u0430mple.org", "is Cyrillic"),
        ("\u03bfnn@example.org", "is Greek"),
        ("ann@example.test", "'test' is reserved"),
        ("ann@1.2.3.4", "no ending of a domain"),
        ("ann@ab--cd.org", "no domain name"),
        ("ann@example.org; bo@gmail", "one of them is wrong.*'gmail' has no ending"),
        ("; ".join(f"a{n}@example.org" for n in range(21)), "more than 20 addresses"),
        ("a" * 600 + "@b.org", "The address is too long."),
        ("a" * 65 + "@example.com", "too long before the @-sign"),
        ("é" * 65 + "@example.com", "too long before the @-sign"),
        ("a@" + "b" * 64 + ".org", "more than 63 characters"),
    ],
)
def test_sentence_names_the_fault_and_what_to_do_when_a_cell_holds_no_address(cell: str, reason: str) -> None:
    with pytest.raises(BadAddress, match=reason) as caught:
        normalise_address(cell)
    sentence = str(caught.value)
    assert not re.search("U\\+|Codepoint|MARK|invalid", sentence)
    assert cell == "" or sentence.count(". ") >= 1
    assert not is_address(cell)


CLINGING = [
    *("ann@example.org\n", "\tann@example.org\t", "\u2003ann@example.org\u00a0", "ann@example.org\u2028"),
    *(
        "ann@example.org\u200e",
        "\u202aann@example.org\u202c",
        "\u2068ann@example.org\u2069",
        "an\u00adn@exam\u200bple.org",
    ),
    *("mailto:ann@example.org", "MAILTO:ann@example.org?subject=Hi%20you", "mailto:ann%40example.org"),
    *(
        "mailto://ann@example.org",
        "smtp://ann@example.org",
        "✉ ann@example.org",
        "📧ann@example.org",
        "ann@example.org ✓",
    ),
    *("SMTP:ann@example.org", "E-Mail: ann@example.org", "<mailto:ann@example.org>", "ann@example.org&nbsp;<br>"),
    *(
        "ann@example.org;",
        "ann@example.org,",
        "ann@example.org.",
        "ann@example.org:",
        "ann@example.org>",
        "ann@example.org!",
    ),
    *("<ann@example.org", "<ann@example.org>", "(ann@example.org)", "[ann@example.org]", "{ann@example.org}"),
    *('"ann@example.org"', "'ann@example.org'", "“ann@example.org”", "‘ann@example.org’", "„ann@example.org“"),
    *("«ann@example.org»", "`ann@example.org`", '="ann@example.org"', "'ann@example.org", "´ann@example.org"),
    *("ann＠example.org", "ａｎｎ＠ｅｘａｍｐｌｅ．ｏｒｇ", "ann@example。org", "ann﹫example.org"),
    *("• ann@example.org", "- ann@example.org", "1. ann@example.org", "2) ann@example.org"),
    *(
        '"Berg, Ann" <ann@example.org>',
        "Berg, Ann <ann@example.org>;",
        "Ann Berg (ann@example.org)",
        "'Ann' <'ann@example.org'>",
    ),
    *(
        "Ann [mailto:ann@example.org]",
        "ann@example.org <mailto:ann@example.org>",
        "'ann@example.org' <ann@example.org>",
    ),
    "[ann@example.org](mailto:ann@example.org)",
    *(
        '<a href="mailto:ann@example.org">ann@example.org</a>',
        "ann@example.org (private)",
        "(Ann) ann@example.org",
        "Ann Berg <ann@example.org> (work)",
    ),
    *("ann@example.org, ann@example.org", "ann@example.org; Ann@Example.org ", '"ann@old.example" <ann@example.org>'),
]


@pytest.mark.parametrize("cell", CLINGING, ids=ascii)
def test_address_is_cleaned_when_nothing_is_in_doubt(cell: str) -> None:
    assert normalise_address(cell) == "ann@example.org"
    assert is_address(cell)


@pytest.mark.parametrize(
    "address",
    [
        "o'neil@example.org",
        "-ann@example.org",
        "_ann@example.org",
        "a/b@example.org",
        "*ann@example.org",
        "a=b@example.org",
    ],
)
def test_sign_stays_when_it_belongs_to_the_address(address: str) -> None:
    assert normalise_address(address) == address


@pytest.mark.parametrize(
    ("cell", "is_cleaned"),
    [
        ("ann@example.org", False),
        (" Ann@EXAMPLE.org\n", False),
        ("Ann <ann@example.org>", False),
        ("ann@bücher.de", False),
        ("ann@example.org;", True),
        ("mailto:ann@example.org", True),
        ("ann@example.org\u200e", True),
        ("ann＠example.org", True),
    ],
    ids=ascii,
)
def test_cleaning_is_told_when_more_than_spaces_was_removed(cell: str, is_cleaned: bool) -> None:
    assert find_address(cell).is_cleaned is is_cleaned


ANN_AND_BO = [
    *("ann@example.org; bo@example.org", "ann@example.org,bo@example.org", "ann@example.org bo@example.org"),
    *("ann@example.org / bo@example.org", "ann@example.org/bo@example.org", "ann@example.org|bo@example.org"),
    *(
        "ann@example.org\nbo@example.org",
        "ann@example.org ::: bo@example.org",
        "ann@example.org、bo@example.org",
        "ann@example.org؛ bo@example.org",
        "ann@example.org;bo@example.org;",
    ),
    *("ann@example.org und bo@example.org", "ann@example.org & bo@example.org", "ann@example.org&bo@example.org"),
    *("Ann <ann@example.org>, Bo <bo@example.org>", '"Berg, Ann" <ann@example.org>; "Cole, Bo" <bo@example.org>'),
    *("Mother: ann@example.org Father: bo@example.org", "mailto:ann@example.org;mailto:bo@example.org"),
    "ann@example.org; bo@example.org; ANN@example.org",
]


@pytest.mark.parametrize("cell", ANN_AND_BO)
def test_addresses_are_told_one_by_one_when_a_cell_holds_several(cell: str) -> None:
    with pytest.raises(SeveralAddresses, match="The cell holds two addresses") as caught:
        normalise_address(cell)
    assert caught.value.addresses == ("ann@example.org", "bo@example.org")


def test_hostile_cells_take_little_time_when_they_are_made_to_backtrack() -> None:
    start = time.process_time()
    for cell in (
        "a." * 60_000,
        "a@" + "a." * 60_000,
        "<" * 100_000,
        "a@" + "a-" * 60_000 + "!",
        "\u0301" * 100_000,
        "a@b.c;" * 20_000,
        "<a@" * 1_300,
    ):
        with pytest.raises(BadAddress):
            normalise_address(cell)
    assert time.process_time() - start < 1
