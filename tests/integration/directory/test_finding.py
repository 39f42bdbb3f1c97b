"""The search for people: who finds whom."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, User

from batches.directory import find_people, find_person, matching, read_mails, search_rows
from batches.models import Person
from batches.suppressions import find_digest
from tests.conftest import MakeUser
from tests.integration.directory.conftest import MakeList

ANN = ("Ann Berg", "ann@example.org")
JURGEN = ("Jürgen Müller", "j.mueller@schule.example")


def find(user: User | AnonymousUser, text: str, *, size: int = 10) -> list[str]:
    return [found.newest.address for found in find_people(user, text, size=size).people]


@pytest.mark.parametrize(
    "text", ["Müller", "muller", "Mueller jürg", "ürg", "J", "ju mu", "mueller@sch", "j.mueller@schule.example"]
)
def test_person_is_found_when_text_is_a_part_of_name_or_address(sender: User, make_list: MakeList, text: str) -> None:
    make_list(ANN, JURGEN)
    assert find(sender, text) == ["j.mueller@schule.example"]


@pytest.mark.parametrize("text", ["", " ", "xyz", "ann jürgen", "%", "nn x", "@"])
def test_nobody_is_found_when_text_fits_nobody(sender: User, make_list: MakeList, text: str) -> None:
    make_list(ANN, JURGEN)
    assert find(sender, text) == [] or text == "@"


def test_whole_address_finds_that_one_alone_when_others_contain_it(sender: User, make_list: MakeList) -> None:
    make_list(ANN, ("Jo Ann", "joann@example.org"))
    assert find(sender, "Ann <ann@example.org>") == ["ann@example.org"]
    assert find(sender, "\u2068ann@example.org\u2069") == ["ann@example.org"]  # as some programs copy it
    assert sorted(find(sender, "ann@example.or")) == ["ann@example.org", "joann@example.org"]


def test_user_finds_nobody_of_another_user_when_name_is_in_the_others_list(
    sender: User, make_user: MakeUser, make_list: MakeList
) -> None:
    other = make_user("other", "Senders")
    make_list(ANN)
    make_list(("", "ann@example.org"), owner=other)
    assert find(other, "Berg") == []
    [found] = find_people(other, "ann@", size=5).people
    assert found.email_count == 1
    assert find_person(sender, found.person_id) is None


def test_mail_of_another_is_not_shown_when_the_row_is_not_of_the_person(sender: User, make_list: MakeList) -> None:
    batch = make_list(ANN)
    batch.emails.update(address="bob@example.org", address_digest=find_digest("bob@example.org"), fields=["Bob Roth"])
    assert find(sender, "ann") == []


def test_nobody_is_found_when_user_is_not_active(sender: User, make_list: MakeList) -> None:
    make_list(ANN)
    sender.is_active = False
    assert find(sender, "ann") == find(AnonymousUser(), "ann") == []


def test_person_of_two_owners_is_found_once_when_user_sees_all(
    staff: User, make_user: MakeUser, make_list: MakeList
) -> None:
    make_list(ANN)
    make_list(ANN, owner=make_user("other", "Senders"))
    make_list(ANN, owner=None)
    [found] = find_people(staff, "berg", size=10).people
    assert found.email_count == 3
    person = find_person(staff, found.person_id)
    assert person
    mails, _ = read_mails(staff, person, size=10)
    assert len(mails) == 3


def test_pages_have_each_person_once_when_many_match(
    sender: User, make_list: MakeList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "WALK_PEOPLE", 4)  # so that both ways are gone
    make_list(*((f"Ann{n}", f"ann{n}@example.org") for n in range(25)))
    found: list[str] = []
    page = find_people(sender, "ann", size=7)
    while page.next_id is not None:
        found += [each.newest.address for each in page.people]
        page = find_people(sender, "ann", before=page.next_id, size=7)
    found += [each.newest.address for each in page.people]
    assert found == [f"ann{n}@example.org" for n in reversed(range(25))]


def test_mails_are_read_page_by_page_when_there_are_many(sender: User, make_list: MakeList) -> None:
    batches = [make_list(ANN) for _ in range(5)]
    person = Person.objects.get()
    first, following = read_mails(sender, person, size=3)
    assert [email.batch_id for email in first] == [batch.pk for batch in reversed(batches[2:])]
    assert following
    rest, nothing = read_mails(sender, person, before=following, size=3)
    assert [email.batch_id for email in rest] == [batches[1].pk, batches[0].pk]
    assert nothing is None


def test_rows_of_a_batch_are_found_in_order_when_it_is_small(make_list: MakeList) -> None:
    batch = make_list(ANN, JURGEN, ("Anna Roth", "anna@example.org"), is_listed=False)
    assert [row for rows in search_rows(batch, "ann") for row in rows] == [2, 4]
    assert [row for rows in search_rows(batch, "ann", after_row=2) for row in rows] == [4]


def test_rows_of_a_batch_are_found_in_order_when_it_is_large(
    make_list: MakeList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "STEP_ROWS", 4)
    monkeypatch.setattr(matching, "WALK_ROWS", 4)
    monkeypatch.setattr("batches.directory.finding.WALK_ROWS", 4)
    make_list(ANN)  # another batch has the same people
    batch = make_list(*((f"Ann{n}" if n % 2 else "Bob", f"person{n}@example.org") for n in range(21)))
    expected = [n + 2 for n in range(21) if n % 2]
    assert [row for rows in search_rows(batch, "ann") for row in rows] == expected
    assert [row for rows in search_rows(batch, "ann", after_row=9) for row in rows] == [n for n in expected if n > 9]
