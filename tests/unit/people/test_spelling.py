"""An address in other text: what is it, and what only looks like it."""

from __future__ import annotations

import json

import pytest

from batches.people.spelling import MASK, NotAnAddress, Spelling

ANN = Spelling.read("Ann@Example.org")


@pytest.mark.parametrize(
    "typed",
    ["Ann@example.org", "  Ann@EXAMPLE.ORG ", "Ann Berg <Ann@example.org>", "mailto:Ann@example.org"],
)
def test_address_is_read_as_an_import_stores_it(typed: str) -> None:
    assert Spelling.read(typed).stored == "Ann@example.org"


@pytest.mark.parametrize("typed", ["zoe@bücher.example", "zoe@xn--bcher-kva.example", "zoe@BÜCHER.example"])
def test_domain_is_one_whether_in_unicode_or_in_punycode(typed: str) -> None:
    spelling = Spelling.read(typed)
    assert spelling.stored == "zoe@xn--bcher-kva.example"
    for text in ("zoe@bücher.example", "ZOE@BÜCHER.EXAMPLE", "zoe@xn--bcher-kva.example", "x <zoe@Bücher.example>"):
        assert spelling.mask(text).count(MASK) == 1, text


@pytest.mark.parametrize("typed", ["", "nobody", "a@example.org, b@example.org", "a@b", "\x00"])
def test_text_is_refused_when_it_is_not_one_address(typed: str) -> None:
    with pytest.raises(NotAnAddress, match=r"\."):
        Spelling.read(typed)


@pytest.mark.parametrize(
    "text",
    [
        "ann@example.org",
        "<ANN@EXAMPLE.ORG>: user unknown",
        "550 5.1.1 ann@example.org... gone",
        "Call ann@example.org.",
        "a@b.de,ann@example.org;c@d.de",
        "https://example.org/?email=ann%40example.org&x=1",
        "https://example.org/%20ann@example.org",
        "ann (at) example.org".replace(" ", ""),
        "ann @ example.org",
        "ann[at]example.org",
        "mailto:ann@example.org?subject=x",
        "'ann@example.org'",
        json.dumps(["first line\nann@example.org\tand more"]),
        json.dumps({"x": "a\rann@example.org"}),
    ],
)
def test_address_is_found_and_masked_in_other_text(text: str) -> None:
    assert ANN.is_in(text)
    assert not ANN.is_in(ANN.mask(text))
    assert "example.org" not in ANN.mask(text).replace("https://example.org", "").casefold()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "joann@example.org",
        "ann+club@example.org",
        "jo.ann@example.org",
        "jo-ann@example.org",
        "ann@example.org.uk",
        "ann@example.organic",
        "ann@example.org-x",
        "ann at example.org",
        "ann@sub.example.org",
        "anna@example.org",
    ],
)
def test_another_address_is_left_alone(text: str) -> None:
    assert not ANN.is_in(text)
    assert ANN.mask(text) == text


def test_plus_tag_is_a_part_of_the_address() -> None:
    tagged = Spelling.read("ann+club@example.org")
    assert tagged.is_in("ANN+CLUB@example.org")
    assert not tagged.is_in("ann@example.org")


def test_patterns_for_like_are_in_lower_case_and_escape_their_signs() -> None:
    assert Spelling.read("A_b@x.example.org").likes == [r"%a\_b%x.example.org%"]


def test_json_stays_json_when_it_is_masked() -> None:
    text = json.dumps([["ann@example.org", 'a "quoted" \\ ann@example.org', "Zoë"], {"ann@example.org": 1}])
    assert json.loads(ANN.mask(text)) == [[MASK, f'a "quoted" \\ {MASK}', "Zoë"], {MASK: 1}]


@pytest.mark.parametrize("address", ["zoë@example.org", "ZOË@bücher.example"])
def test_letters_beyond_ascii_are_found_and_masked_in_json_that_escapes_them(address: str) -> None:
    spelling = Spelling.read(address)
    text = json.dumps({"object": f"to {address.lower()}"})
    assert "\\u00eb" in text and spelling.is_in(text)
    assert json.loads(spelling.mask(text)) == {"object": f"to {MASK}"}
    assert any(each.strip("%") and "\\\\u00eb" in each for each in spelling.likes)
