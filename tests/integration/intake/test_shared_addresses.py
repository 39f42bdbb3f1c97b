"""Rows that share an address: the first only, one email each, or all together."""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection

from batches.exports.export import rejected_csv
from batches.files.findings import Reading
from batches.intake import (
    ReadingOptions,
    append_csv,
    import_csv,
    import_group,
    import_list,
    import_users,
    reread_upload,
)
from batches.intake.copying import ROWS_MAX
from batches.models import Batch, SharedAddresses
from tests.integration.conftest import emails_of, rejected_of

FIRST, EACH, TOGETHER = SharedAddresses.FIRST, SharedAddresses.EACH, SharedAddresses.TOGETHER
CHILDREN = "email,child,class\npia@x.org,Ann,3a\nred@x.org,Cy,1c\nPIA@x.org,Bo,5b\npia@x.org,Eve,6a\n"

Import = Callable[..., Batch]


@pytest.fixture
def load(sender: User) -> Import:
    """Import a text with a choice: ``load(CHILDREN, TOGETHER)``."""

    def run(text: str, shared: SharedAddresses, **options: Any) -> Batch:
        stream = io.BytesIO(text.encode())
        return import_csv(
            stream, filename="list.csv", user=sender, shared=shared, options=ReadingOptions(**options)
        ).batch

    return run


def counts_of(batch: Batch) -> tuple[int, int, int, int]:
    """Return the emails, the rejected rows, the duplicates, and the rows that share an address."""
    shared_count = Reading.from_json(batch.reading).shared_count
    return batch.total_count, batch.rejected_count, batch.duplicate_count, shared_count


def test_first_row_wins_when_nobody_chose(load: Import) -> None:
    batch = load(CHILDREN, FIRST)
    assert emails_of(batch) == [[2, "pia@x.org", ["Ann", "3a"]], [3, "red@x.org", ["Cy", "1c"]]]
    assert rejected_of(batch) == [[4, "duplicate"], [5, "duplicate"]]
    assert counts_of(batch) == (2, 0, 2, 2)


def test_every_row_makes_an_email_when_each_is_chosen(load: Import) -> None:
    batch = load(CHILDREN, EACH)
    assert [fields[0] for _, _, fields in emails_of(batch)] == ["Ann", "Cy", "Bo", "Eve"]
    assert rejected_of(batch) == []
    assert counts_of(batch) == (4, 0, 0, 2)


def test_all_rows_are_in_one_email_when_together_is_chosen(load: Import) -> None:
    batch = load(CHILDREN, TOGETHER)
    rows = [["Ann", "3a"], ["Bo", "5b"], ["Eve", "6a"]]
    assert emails_of(batch) == [[2, "pia@x.org", ["Ann", "3a", rows]], [3, "red@x.org", ["Cy", "1c"]]]
    assert rejected_of(batch) == []
    assert counts_of(batch) == (2, 0, 0, 2)


def test_each_row_is_in_exactly_one_email_when_a_thousand_rows_have_700_addresses(load: Import) -> None:
    chance = random.Random(7)
    addresses = [f"parent{number}@x.org" for number in range(700)]
    rows = [*addresses, *(chance.choice(addresses) for _ in range(300))]
    chance.shuffle(rows)
    text = "email,child\n" + "".join(f"{address},child {number}\n" for number, address in enumerate(rows))
    batch = load(text, TOGETHER)
    assert counts_of(batch) == (700, 0, 0, 300)
    sent: Counter[tuple[str, str]] = Counter()
    for _, address, fields in emails_of(batch):
        for [child] in fields[1] if len(fields) > 1 else [fields]:
            sent[address, child] += 1
    assert sent == Counter((address, f"child {number}") for number, address in enumerate(rows))


@pytest.mark.parametrize("shared", SharedAddresses)
def test_choice_is_followed_when_rows_are_added(load: Import, shared: SharedAddresses) -> None:
    batch = load(CHILDREN, shared)
    more = b"email,child,class\nred@x.org,Dan,2b\nnew@x.org,Fee,2b\nPia@x.org,Gus,2b\nnew@x.org,Hal,4d\n"
    batch, counts = append_csv(batch, io.BytesIO(more))
    children = {row: [row[0] for row in _rows(fields)] for row, _, fields in emails_of(batch)}
    rejected = [line for line, _ in rejected_of(batch)]
    assert (children, rejected, counts_of(batch)) == {
        FIRST: ({2: ["Ann"], 3: ["Cy"], 8: ["Fee"]}, [4, 5, 7, 9, 10], (3, 0, 5, 5)),
        EACH: (
            {2: ["Ann"], 3: ["Cy"], 4: ["Bo"], 5: ["Eve"], 7: ["Dan"], 8: ["Fee"], 9: ["Gus"], 10: ["Hal"]},
            [],
            (8, 0, 0, 5),
        ),
        TOGETHER: ({2: ["Ann", "Bo", "Eve", "Gus"], 3: ["Cy", "Dan"], 8: ["Fee", "Hal"]}, [], (3, 0, 0, 5)),
    }[shared]
    assert counts.total == {FIRST: 1, EACH: 4, TOGETHER: 1}[shared]


def _rows(fields: list[Any]) -> list[list[str]]:
    return fields[2] if len(fields) > 2 else [fields]


def test_rows_that_are_too_many_for_one_mail_are_rejected_when_they_go_together(load: Import) -> None:
    batch = load("email,n\n" + "".join(f"pia@x.org,{number}\n" for number in range(ROWS_MAX + 2)), TOGETHER)
    [[_, _, fields]] = emails_of(batch)
    assert len(fields[1]) == ROWS_MAX
    assert rejected_of(batch) == [[ROWS_MAX + 2, "duplicate"], [ROWS_MAX + 3, "duplicate"]]
    reason = batch.rejected_rows.values_list("reason", flat=True)[0]
    assert reason == (
        f"The mail to this address already has {ROWS_MAX} rows, the first in line 2. Put the row into another list."
    )
    batch, counts = append_csv(batch, io.BytesIO(b"email,n\npia@x.org,more\n"))
    assert (counts.total, counts.duplicate) == (0, 1)


def test_list_without_merge_fields_goes_together(load: Import) -> None:
    batch = load("email\npia@x.org\npia@x.org\n", TOGETHER)
    assert emails_of(batch) == [[2, "pia@x.org", [[[], []]]]]
    batch, _ = append_csv(batch, io.BytesIO(b"email\npia@x.org\n"))
    assert emails_of(batch) == [[2, "pia@x.org", [[[], []]]]]
    assert rejected_of(batch) == [[5, "duplicate"]]


@pytest.mark.parametrize("shared", SharedAddresses)
def test_rows_are_duplicates_when_they_are_added_again(load: Import, shared: SharedAddresses) -> None:
    batch = load(CHILDREN, shared)
    more = "class,child,email\n2b,Dan,red@x.org\n2b,Fee,new@x.org\n4d,Hal,New@x.org\n4d,Hal,New@x.org\n"
    batch, _ = append_csv(batch, io.BytesIO(more.encode()))
    before = emails_of(batch)
    for text in (more, CHILDREN):
        batch, counts = append_csv(batch, io.BytesIO(text.encode()))
        assert (counts.total, counts.duplicate, counts.shared) == (0, 4, 4)
        assert emails_of(batch) == before
    reason = batch.rejected_rows.order_by("line").values_list("reason", flat=True).last()
    assert (
        reason
        == {
            FIRST: "The same address is already in line 2.",
            EACH: "The same row is already in line 5. Change a cell of it if it is another row.",
            TOGETHER: "The same row is already in line 2. Change a cell of it if it is another row.",
        }[shared]
    )


def test_shared_rows_are_counted_once_when_the_rejected_file_comes_back(load: Import) -> None:
    batch = load("email,child\npia@x.org,Ann\nnope,Cy\nPIA@x.org,Bo\n", FIRST)
    assert counts_of(batch) == (1, 1, 1, 1)
    rejected = b"".join(rejected_csv(batch)).replace(b"nope", b"cy@x.org")
    batch, _ = append_csv(batch, io.BytesIO(rejected))
    assert counts_of(batch) == (2, 0, 1, 1)
    batch, _ = append_csv(batch, io.BytesIO(b"".join(rejected_csv(batch)).replace(b"PIA", b"bo")))
    assert counts_of(batch) == (3, 0, 0, 0)


def test_draft_follows_another_choice_when_its_file_is_read_again(load: Import) -> None:
    batch = load(CHILDREN, FIRST)
    batch = reread_upload(batch, ReadingOptions(), EACH)
    assert counts_of(batch) == (4, 0, 0, 2)
    batch = reread_upload(batch, ReadingOptions(), TOGETHER)
    assert counts_of(batch) == (2, 0, 0, 2)
    batch = reread_upload(batch, ReadingOptions())
    assert batch.shared_addresses == TOGETHER
    assert counts_of(Batch.objects.get()) == (2, 0, 0, 2)


@pytest.mark.parametrize("shared", SharedAddresses)
def test_choice_is_followed_when_recipients_are_a_list(sender: User, shared: SharedAddresses) -> None:
    people = [{"email": "pia@x.org", "child": "Ann"}, {"email": "pia@x.org", "child": "Bo"}]
    batch = import_list(people, user=sender, shared=shared).batch
    assert [fields for _, _, fields in emails_of(batch)] == {
        FIRST: [["Ann"]],
        EACH: [["Ann"], ["Bo"]],
        TOGETHER: [["Ann", [["Ann"], ["Bo"]]]],
    }[shared]


@pytest.mark.parametrize("shared", SharedAddresses)
def test_choice_is_followed_when_users_share_an_address(sender: User, shared: SharedAddresses) -> None:
    group = Group.objects.create(name="Parents")
    # An address with a domain beyond ASCII is checked after the plain ones.
    for name, address in (("ann", "pia@x.org"), ("bo", "Pia@x.org"), ("cy", "pia@bücher.example"), ("di", "PIA@x.org")):
        User.objects.create(username=name, email=address, first_name=name).groups.add(group)
    names = {
        FIRST: [["ann"], ["cy"]],
        EACH: [["ann"], ["bo"], ["cy"], ["di"]],
        TOGETHER: [["ann", "bo", "di"], ["cy"]],
    }[shared]
    for batch in (
        import_group(group, user=sender, shared=shared).batch,
        import_users(User.objects.filter(groups=group), user=sender, shared=shared).batch,
    ):
        found = [[row[0] for row in (fields[4] if len(fields) > 4 else [fields])] for _, _, fields in emails_of(batch)]
        assert sorted(found) == names
        assert counts_of(batch) == (len(names), 0, 2 if shared == FIRST else 0, 2)


def test_answer_is_right_when_many_rows_share_few_addresses(load: Import) -> None:
    rows = [f"parent{number % 997}@x.org,{number}" for number in range(20_000)]
    text = "email,n\n" + "\n".join(rows) + "\n"
    together = load(text, TOGETHER)
    numbers = [int(row[0]) for _, _, fields in emails_of(together) for row in fields[1]]
    assert sorted(numbers) == list(range(20_000))
    assert counts_of(together) == (997, 0, 0, 20_000 - 997)
    assert counts_of(load(text, EACH)) == (20_000, 0, 0, 20_000 - 997)


@pytest.mark.parametrize("cells", ["", ",{number}"])
def test_repeated_rows_are_found_in_time_when_one_address_fills_the_file(load: Import, cells: str) -> None:
    header = "email,n\n" if cells else "email\n"
    text = header + "".join("pia@x.org" + cells.format(number=number) + "\n" for number in range(20_000))
    batch = load(text, EACH)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '15s'")  # comparing each row with each takes minutes
    batch, counts = append_csv(batch, io.BytesIO(text.encode()))
    assert (counts.total, counts.duplicate) == (0, 20_000)
