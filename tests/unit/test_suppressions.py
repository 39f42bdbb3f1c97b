"""The filter that an import and a lane compare addresses with. The list itself is tested beside the database."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.models.sql import SuppressionsNow
from batches.suppressions import SuppressionFilter, make_checksums

KEY = bytes(range(32))


def make_filter(*addresses: str, key: bytes = KEY) -> SuppressionFilter:
    checksums = make_checksums(addresses) if addresses else []
    return SuppressionFilter.of([SuppressionsNow(key, len(addresses), checksums)])


def test_filter_is_false_when_nobody_is_suppressed() -> None:
    assert not make_filter()
    assert not SuppressionFilter.of([])
    assert make_filter("ann@example.org")


@given(st.lists(st.from_regex(r"[a-zA-Z0-9ÄßİǅΣ.+-]{1,12}@[a-z]{1,8}\.org", fullmatch=True), min_size=1, max_size=40))
def test_no_address_is_missed_when_its_letters_have_another_case(addresses: list[str]) -> None:
    suppressions = make_filter(*(address.casefold() for address in addresses))
    assert suppressions.find_possible(addresses) == list(range(len(addresses)))
    assert len(make_checksums(addresses)) == len(addresses)


def test_only_the_suppressed_are_found_among_thousands() -> None:
    suppressions = make_filter("Ann@example.org")
    addresses = [f"person{number}@example.org" for number in range(5000)]
    addresses[4321] = "aNN@example.org"
    assert suppressions.find_possible(addresses) == [4321]


def test_empty_address_is_found_because_it_was_erased() -> None:
    assert make_filter("ann@example.org").find_possible(["bo@example.org", "", "cy@example.org"]) == [1]
    assert make_filter("ann@example.org").find_possible([]) == []


def test_checksums_that_were_known_stay_when_new_ones_come() -> None:
    before = make_filter("ann@example.org")
    after = SuppressionFilter.of([SuppressionsNow(KEY, 2, make_checksums(["bo@example.org"]))], known=before.checksums)
    assert after.find_possible(["ann@example.org", "bo@example.org", "cy@example.org"]) == [0, 1]
    assert after.version == 2


@pytest.mark.parametrize("address", ["ann@example.org", "ANN@EXAMPLE.ORG"])
def test_digest_is_an_hmac_of_the_folded_address(address: str) -> None:
    expected = hmac.new(KEY, b"ann@example.org", hashlib.sha256).digest()[:16]
    assert SuppressionFilter(key=KEY).digest(address) == expected
    assert SuppressionFilter(key=KEY[::-1]).digest(address) != expected
