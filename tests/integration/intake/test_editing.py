from __future__ import annotations

import io

import pytest

from batches.exports.export import rejected_csv
from batches.intake import (
    ListRefused,
    NotADraft,
    ReadingOptions,
    UnreadableFile,
    append_csv,
    discard_draft,
    import_list,
    rename_merge_fields,
    reread_upload,
)
from batches.models import Batch, BatchStatus, Email, RejectedRow, UploadChunk
from tests.integration.conftest import Upload, emails_of, rejected_of

pytestmark = pytest.mark.django_db

LIST = "email,name,note\nann@example.com,Ann,x\nnope,Bob,+49 30 1\ncat@,Cat,z\nANN@example.com,Twin,y\n"


def append(batch: Batch, text: str | bytes) -> Batch:
    data = text.encode() if isinstance(text, str) else text
    return append_csv(batch, io.BytesIO(data))[0]


def test_cells_are_right_when_a_draft_is_read_again_in_another_encoding(upload: Upload) -> None:
    batch = upload("email,name\nann@example.com,Łukasz Żółć\nnope,Święty\n".encode("iso8859-2"), encoding="cp1252")
    assert emails_of(batch)[0][2] != ["Łukasz Żółć"]
    draft = reread_upload(batch, ReadingOptions(encoding="iso8859-2"))
    assert emails_of(draft) == [[2, "ann@example.com", ["Łukasz Żółć"]]]
    assert (draft.encoding, draft.total_count, draft.rejected_count) == ("iso8859-2", 1, 1)
    assert rejected_of(draft) == [[3, "invalid"]]


def test_byte_order_mark_is_not_in_the_header_when_utf8_is_chosen(upload: Upload) -> None:
    draft = reread_upload(upload(b"\xef\xbb\xbfemail,name\nann@example.com,Ann\n"), ReadingOptions(encoding="utf-8"))
    assert draft.columns == ["email", "name"]


def test_columns_change_when_a_draft_is_read_again_with_other_options(upload: Upload) -> None:
    batch = upload("email,second\nann@example.com,bob@example.com\n")
    draft = reread_upload(batch, ReadingOptions(has_header=False, address_indexes=(1,)))
    assert draft.columns == ["column_1", "email"]
    assert emails_of(draft) == [[2, "bob@example.com", ["ann@example.com"]]]
    assert rejected_of(draft) == [[1, "invalid"]]


def test_merge_fields_keep_their_names_when_the_columns_are_the_same(upload: Upload) -> None:
    batch = upload("email,Ort\nann@example.com,Köln\n".encode("cp1252"))
    rename_merge_fields(batch, {"ort": "town"})
    assert reread_upload(batch, ReadingOptions(encoding="cp850")).merge_fields == ["town"]
    assert reread_upload(batch, ReadingOptions(has_header=False)).merge_fields == ["column_2"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_draft_stays_as_it_was_when_its_file_has_no_byte_order_mark(upload: Upload, encoding: str) -> None:
    batch = upload("email,name\nann@example.com,Ann\n")
    with pytest.raises(UnreadableFile, match=r"utf-32|UTF-16"):
        reread_upload(batch, ReadingOptions(encoding=encoding))
    assert emails_of(batch) == [[2, "ann@example.com", ["Ann"]]]


def test_nothing_is_left_when_a_draft_is_discarded(upload: Upload) -> None:
    batch, kept = upload(LIST), upload(LIST)
    discard_draft(batch)
    assert Batch.objects.get() == kept
    assert {row.batch_id for row in Email.objects.all()} == {kept.pk}
    assert {row.batch_id for row in RejectedRow.objects.all()} == {kept.pk}
    assert {row.batch_id for row in UploadChunk.objects.all()} == {kept.pk}


def test_draft_stays_as_it_was_when_reading_it_again_fails(upload: Upload) -> None:
    batch = upload("email,name\nann@example.com,Ann\n")
    with pytest.raises(UnreadableFile):
        reread_upload(batch, ReadingOptions(address_indexes=(9,)))
    assert emails_of(batch) == [[2, "ann@example.com", ["Ann"]]]


@pytest.mark.parametrize(
    ("indexes", "sentence"),
    [
        ((0,), "The column “Vorname” holds no addresses. Choose another, such as “E-Mail”."),
        ((0, 2), "The columns “Vorname” and “Ort” hold no addresses. Choose another, such as “E-Mail”."),
    ],
)
def test_column_is_named_when_a_person_chose_one_without_addresses(
    upload: Upload, indexes: tuple[int, ...], sentence: str
) -> None:
    text = "Vorname,E-Mail,Ort\nAnn,ann@example.com,Bonn\nBo,bo@example.com,Ulm\n"
    with pytest.raises(ListRefused) as refused:
        upload(text, address_indexes=indexes)
    assert str(refused.value) == sentence
    batch = upload(text)
    with pytest.raises(ListRefused) as refused:
        reread_upload(batch, ReadingOptions(address_indexes=indexes))
    assert str(refused.value) == sentence
    assert batch.emails.count() == 2


def test_rows_have_their_reasons_when_the_chosen_column_holds_faulty_addresses(upload: Upload) -> None:
    with pytest.raises(ListRefused, match=r"Line 2: .*more than one @-sign"):
        upload("Vorname,E-Mail\nAnn,ann@@example.com\n", address_indexes=(1,))


def test_large_file_comes_back_whole_when_it_is_read_again(upload: Upload) -> None:
    text = "email,name\n" + "".join(f"user{number}@example.com,Name {number}\n" for number in range(20_000))
    batch = upload(text)
    assert UploadChunk.objects.count() > 1
    assert reread_upload(batch, ReadingOptions()).total_count == 20_000


def test_merge_fields_have_new_names_when_they_are_renamed(upload: Upload) -> None:
    batch = upload(LIST)
    assert rename_merge_fields(batch, {"name": "note", "note": "name"}).merge_fields == ["note", "name"]
    assert Batch.objects.get().merge_fields == ["note", "name"]


@pytest.mark.parametrize("name", ["Name", "é", "имя", "First_Name"])
def test_merge_field_has_the_new_name_when_a_template_can_use_it(upload: Upload, name: str) -> None:
    assert rename_merge_fields(upload(LIST), {"name": name}).merge_fields == [name, "note"]


@pytest.mark.parametrize("name", ["1st", "", "a b", "note", "Note", "nóte", "email", "E_Mail", "for"])
def test_renaming_is_refused_when_a_template_cannot_use_the_name(upload: Upload, name: str) -> None:
    with pytest.raises(ListRefused):
        rename_merge_fields(upload(LIST), {"name": name})
    assert Batch.objects.get().merge_fields == ["name", "note"]


def test_renaming_is_refused_when_the_list_has_no_such_field(upload: Upload) -> None:
    with pytest.raises(ListRefused, match="no merge field 'town'"):
        rename_merge_fields(upload(LIST), {"town": "city"})


def test_rows_are_corrected_when_the_rejected_file_comes_back(upload: Upload) -> None:
    batch = upload(LIST)
    rejected = b"".join(rejected_csv(batch))
    assert b"nope,Bob,'+49 30 1,3," in rejected
    draft = append(batch, rejected.replace(b"nope", b"bob@example.com"))
    assert emails_of(draft) == [[2, "ann@example.com", ["Ann", "x"]], [7, "bob@example.com", ["Bob", "+49 30 1"]]]
    # The other two are still bad: their new lines replace the old ones.
    assert rejected_of(draft) == [[8, "invalid"], [9, "duplicate"]]
    assert (draft.total_count, draft.rejected_count, draft.duplicate_count) == (2, 1, 1)


def test_rejected_row_of_the_added_file_stays_when_it_names_a_line_after_the_list(upload: Upload) -> None:
    batch = upload("email,name\nann@example.com,Ann\n")
    # The header of the added file counts as line 3. Its row is line 4, and says that it corrects line 4.
    draft = append(batch, "email,name,line\nnope,Bob,4\n")
    assert rejected_of(draft) == [[4, "invalid"]]
    assert draft.rejected_count == 1


def test_draft_stays_as_it_was_when_a_bad_record_of_the_added_file_goes_over_several_lines(upload: Upload) -> None:
    batch = upload("email,name\nann@example.com,Ann\n")
    with pytest.raises(UnreadableFile, match="In the record of line 3, a quotation mark opens and is never closed"):
        append(batch, 'email,name\nbob@example.com,Bob\ncat@example.com,"Cat\ndan@example.com,"Dan"\n')
    assert emails_of(batch) == [[2, "ann@example.com", ["Ann"]]]


def test_rows_are_added_when_columns_come_in_another_order(upload: Upload) -> None:
    batch = upload(LIST)
    draft = append(batch, "NOTE;Name; EMAIL\nn;Dan;dan@example.com\nm;Ann;ann@Example.com\n")
    assert emails_of(draft)[1:] == [[7, "dan@example.com", ["Dan", "n"]]]
    assert rejected_of(draft) == [[3, "invalid"], [4, "invalid"], [5, "duplicate"], [8, "duplicate"]]


def test_rows_are_added_by_place_when_neither_file_has_a_header(upload: Upload) -> None:
    draft = append(upload("ann@example.com\n"), "bob@example.com\nann@example.com\n")
    assert emails_of(draft) == [[1, "ann@example.com", []], [2, "bob@example.com", []]]
    assert rejected_of(draft) == [[3, "duplicate"]]


def test_duplicates_are_found_when_they_are_within_the_added_rows(upload: Upload) -> None:
    draft = append(upload("email\nann@example.com\n"), "email\nbob@example.com\nBOB@example.com\nbob@example.com\n")
    assert emails_of(draft)[1:] == [[4, "bob@example.com", []]]
    reasons = draft.rejected_rows.order_by("line").values_list("reason", flat=True)
    assert set(reasons) == {"The same address is already in line 4."}


def test_rows_are_added_when_the_list_was_no_file(upload: Upload) -> None:
    batch = import_list([{"email": "ann@example.com", "name": "Ann"}], user=None).batch
    assert append(batch, "email,name\nbob@example.com,Bob\n").total_count == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [("email,name\na@example.com,A\n", "lacks note"), ("email,name,note,town\na@example.com,A,B,C\n", "also has town")],
)
def test_adding_is_refused_when_columns_differ(upload: Upload, text: str, message: str) -> None:
    batch = upload(LIST)
    with pytest.raises(UnreadableFile, match=message):
        append(batch, text)
    assert batch.emails.count() == 1


def test_first_file_cannot_be_read_again_when_rows_were_added(upload: Upload) -> None:
    draft = append(upload("email\nann@example.com\n"), "email\nbob@example.com\n")
    with pytest.raises(NotADraft, match="no longer stored"):
        reread_upload(draft, ReadingOptions())
    assert draft.emails.count() == 2


def test_list_stays_as_it_is_when_the_batch_was_sent(upload: Upload) -> None:
    batch = upload("email,name\nann@example.com,Ann\n")
    Batch.objects.move(batch.pk, to=BatchStatus.PROCESSING)
    for change in (
        lambda: reread_upload(batch, ReadingOptions()),
        lambda: rename_merge_fields(batch, {"name": "first"}),
        lambda: append(batch, "email,name\nbob@example.com,Bob\n"),
        lambda: discard_draft(batch),
    ):
        with pytest.raises(NotADraft) as caught:
            change()
        assert caught.value.http_status == 409
    assert emails_of(batch) == [[2, "ann@example.com", ["Ann"]]]
