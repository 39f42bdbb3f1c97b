"""The search among the recipients of one batch, and where a page is in the list."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from batches.models import Batch, EmailStatus
from batches.web import recipient_table
from tests.integration.directory.conftest import MakeList, make_list

__all__ = ["make_list"]

PEOPLE = [("Ann Berg", "ann@example.org"), ("Bob Roth", "bob@example.org"), ("Änne Roth", "roth@example.org")]


def read(page: Client, batch: Batch, **query: str) -> str:
    """Return the words of the table, without tags and with single spaces."""
    html = page.get(reverse("batch", args=[batch.pk]), query).content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", html[html.index('id="rows"') :]).split())


def test_recipients_are_found_when_text_is_a_part_of_name_or_address(page: Client, make_list: MakeList) -> None:
    batch = make_list(*PEOPLE)
    found = read(page, batch, q="roth")
    assert "Bob Roth" in found and "Änne Roth" in found and "Ann Berg" not in found
    assert "2 recipients found" in found
    assert "Änne Roth" in read(page, batch, q="aenne") and "1 recipient found" in read(page, batch, q="anne ro")


def test_only_recipients_of_the_tab_are_found_when_one_is_chosen(page: Client, make_list: MakeList) -> None:
    batch = make_list(*PEOPLE)
    batch.emails.filter(row=3).update(status=EmailStatus.FAILED)
    type(batch).objects.filter(pk=batch.pk).update(sent_count=2, failed_count=1)
    found = read(page, batch, q="roth", status="failed")
    assert "Bob Roth" in found and "Änne Roth" not in found


def test_table_says_what_to_do_when_nobody_was_found(page: Client, make_list: MakeList) -> None:
    batch = make_list(*PEOPLE)
    assert "Try a part of it." in read(page, batch, q="xyz")
    assert "Search among all" in read(page, batch, q="ann", status="failed")


def test_pages_say_which_recipients_they_show(
    page: Client, make_list: MakeList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipient_table, "PAGE_SIZE", 2)
    batch = make_list(*PEOPLE, ("Cy", "cy@example.org"), ("Di", "di@example.org"))
    assert "1-2 of 5" in read(page, batch)
    html = page.get(reverse("batch", args=[batch.pk])).content.decode()
    following = re.search(r'rel="next" href="([^"#]+)', html)
    assert following
    second = page.get(reverse("batch", args=[batch.pk]) + following[1].replace("&amp;", "&")).content.decode()
    assert "3-4 of 5" in second and "Änne Roth" in second


def test_page_begins_at_a_line_when_somebody_goes_there(page: Client, make_list: MakeList) -> None:
    batch = make_list(*PEOPLE)
    found = read(page, batch, line="4")
    assert "Änne Roth" in found and "Bob Roth" not in found
    assert "Ann Berg" in read(page, batch, line="x")


def test_rows_of_a_large_batch_are_found_page_by_page(
    page: Client, make_list: MakeList, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("matching.STEP_ROWS", "matching.WALK_ROWS", "finding.WALK_ROWS"):
        monkeypatch.setattr(f"batches.directory.{place}", 3)
    monkeypatch.setattr(recipient_table, "PAGE_SIZE", 2)
    batch = make_list(*((f"Ann {n}", f"ann{n}@example.org") for n in range(9)))
    pages = []
    query = "?q=ann"
    while query:
        html = page.get(reverse("batch", args=[batch.pk]) + query).content.decode()
        pages.append(re.findall(r"ann\d@example", html))
        found = re.search(r'rel="next" href="([^"#]+)', html)
        query = found[1].replace("&amp;", "&") if found else ""
    assert [sorted(set(each)) for each in pages] == [
        ["ann0@example", "ann1@example"],
        ["ann2@example", "ann3@example"],
        ["ann4@example", "ann5@example"],
        ["ann6@example", "ann7@example"],
        ["ann8@example"],
    ]
