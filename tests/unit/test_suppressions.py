"""The filter that an import and a lane compare addresses with. The list itself is tested beside the database."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.models.sql import SuppressionsNow
from batches.suppressions import KNOWN_MAX, DigestMaker, SuppressionFilter, make_digest, make_digests, pad_key

KEY = bytes(range(32))


def make_filter(*addresses: str, key: bytes = KEY) -> SuppressionFilter:
    return SuppressionFilter().add([SuppressionsNow(key, len(addresses), make_digests(key, addresses))])


def places(suppressions: SuppressionFilter, addresses: list[str]) -> list[int]:
    return list(suppressions.find_possible(addresses))


def test_filter_is_false_when_nobody_was_suppressed() -> None:
    assert not make_filter()
    assert not SuppressionFilter().add([])
    assert make_filter("ann@example.org")


@given(st.lists(st.from_regex(r"[a-zA-Z0-9ÄßİǅΣ.+-]{1,12}@[a-z]{1,8}\.org", fullmatch=True), min_size=1, max_size=40))
def test_no_address_is_missed_when_its_letters_have_another_case(addresses: list[str]) -> None:
    suppressions = make_filter(*(address.casefold() for address in addresses))
    assert places(suppressions, addresses) == list(range(len(addresses)))
    digests = [make_digest(KEY, address) for address in addresses]
    assert make_digests(KEY, addresses) == list(map(DigestMaker(KEY).make, addresses)) == digests


def test_only_the_suppressed_are_found_among_thousands() -> None:
    suppressions = make_filter("Ann@example.org")
    addresses = [f"person{number}@example.org" for number in range(5000)]
    addresses[4321] = "aNN@example.org"
    assert suppressions.find_possible(addresses) == {4321: make_digest(KEY, "ann@example.org")}


def test_empty_address_is_found_because_it_was_erased() -> None:
    assert places(make_filter("ann@example.org"), ["bo@example.org", "", "cy@example.org"]) == [1]
    assert places(make_filter("ann@example.org"), []) == []


def test_digests_that_were_known_stay_when_new_ones_come() -> None:
    after = make_filter("ann@example.org").add([SuppressionsNow(KEY, 2, make_digests(KEY, ["bo@example.org"]))])
    assert places(after, ["ann@example.org", "bo@example.org", "cy@example.org"]) == [0, 1]
    assert after.version == 2


def test_every_address_is_possible_when_more_were_added_than_a_lane_keeps() -> None:
    overfull = make_filter(*(f"p{number}@example.org" for number in range(KNOWN_MAX + 1)))
    later = overfull.add([SuppressionsNow(KEY, KNOWN_MAX + 2, [])])
    for suppressions in (overfull, later):
        assert suppressions
        assert not suppressions.digests
        assert places(suppressions, ["zoe@example.org"]) == [0]


@pytest.mark.parametrize("address", ["ann@example.org", "ANN@EXAMPLE.ORG"])
def test_digest_is_an_hmac_of_the_folded_address(address: str) -> None:
    expected = hmac.new(KEY, b"ann@example.org", hashlib.sha256).digest()[:16]
    assert make_digest(KEY, address) == expected
    assert make_digest(KEY[::-1], address) != expected
    padded = pad_key(KEY)
    inner = hashlib.sha256(padded["inner_key"] + b"ann@example.org").digest()
    assert hashlib.sha256(padded["outer_key"] + inner).digest()[:16] == expected
