"""The catalogue of pages: every page that a person can open is in it, so that axe, widths and pictures know it."""

from __future__ import annotations

import re

from django.urls import resolve

from tests.catalogue.admin_pages import ADMIN_PAGES
from tests.catalogue.pages import FIRST_DAY, PAGES
from tests.integration.route_table import ACCOUNTS, read_account_rows, read_rows
from tests.integration.route_table import PAGES as ROUTES

NO_PAGES = {
    "words": "a script",
    "recipient-message": "the letter of somebody, in a frame",
    "review-message": "the same",
    "approval-message": "the same",
    "letter-frame-preview": "the same",
    "template-preview": "the same: it may run no script, not even that of axe",
    "review-letters": "a part of the review",
    "picture": "a picture",
    "metrics": "for programs",
    "session": "for the scripts of a page",
}
"""Names of URLs that answer GET with something else than a page of ours."""

OF_NO_URL = ("{join}", "{unsubscribe}", "/no-such-page/")
"""Addresses of the catalogue that are made with a token, which has others too, or that lead nowhere."""


def name_of(address: str) -> str:
    """Return the name of the URL of an address with ids in braces."""
    return resolve(re.sub(r"\{\w+\}", "1", address.partition("?")[0])).view_name


def test_every_page_is_in_the_catalogue() -> None:
    rows = [*read_rows(ROUTES), *read_account_rows(ACCOUNTS)]
    pages = {name_of(row.address) for row in rows if row.method == "GET" and 200 in row.statuses.values()}
    addresses = [shown.address for shown in PAGES if shown.address not in OF_NO_URL]
    assert pages - {name_of(address) for address in addresses} == set(NO_PAGES)


def test_no_two_pages_have_a_name() -> None:
    names = [shown.name for shown in [*FIRST_DAY, *PAGES, *ADMIN_PAGES]]
    assert sorted(set(names)) == sorted(names)
