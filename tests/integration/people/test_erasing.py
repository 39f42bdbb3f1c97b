"""After an erasure the address is nowhere, and every count is as it was."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.utils import timezone

from batches.exports.export import rejected_csv, results_csv
from batches.intake import ReadingOptions, import_csv
from batches.jobs import creation, queues
from batches.jobs.lifecycle import JobRefused
from batches.models import (
    ApiToken,
    AuditAction,
    AuditEntry,
    Batch,
    BatchSource,
    Email,
    EmailStatus,
    JobKind,
    RejectedRow,
    Suppression,
    UploadChunk,
)
from batches.people import ErasureRefused, Spelling, erase_person, find_person
from batches.people.spelling import MASK
from batches.suppressions import digest_address, is_suppressed
from emailbatch.localstack.inbox_store import read_page
from tests.conftest import MakeBatch, MakeSender
from tests.integration.conftest import Upload
from tests.integration.people.conftest import ANN, count_statuses, dump_database, dump_redis

pytestmark = pytest.mark.django_db

SPELLING = Spelling.read(ANN)


def test_address_is_nowhere_after_an_erasure(ann_everywhere: Batch, own_inbox: Path) -> None:
    assert ANN in dump_database()
    assert ANN in dump_redis()
    erase_person(Spelling.read("ANN@Example.org"))
    assert ANN not in dump_database()
    assert ANN not in dump_redis()
    assert b"ann@example.org" not in own_inbox.read_bytes().lower()
    assert not any(
        Path(f"{own_inbox}{end}").exists() and b"Dear Ann" in Path(f"{own_inbox}{end}").read_bytes()
        for end in ("", "-wal")
    )
    assert [message.recipients for message in read_page(own_inbox).messages] == ["bo@example.org"]
    assert not find_person(SPELLING)


def test_counts_and_statuses_stay(ann_everywhere: Batch) -> None:
    columns = [name for name in vars(ann_everywhere) if name.endswith("_count")]
    before = {name: getattr(ann_everywhere, name) for name in columns}
    statuses, rejected = count_statuses(ann_everywhere), ann_everywhere.rejected_rows.count()
    erase_person(SPELLING)
    ann_everywhere.refresh_from_db()
    assert {name: getattr(ann_everywhere, name) for name in columns} == before
    assert (count_statuses(ann_everywhere), ann_everywhere.rejected_rows.count()) == (statuses, rejected)
    ann = ann_everywhere.emails.get(row=2)
    assert (ann.address, ann.fields, ann.reply, ann.code, ann.status) == ("", [""], "", 550, EmailStatus.FAILED)
    attempt = ann.recorded_attempts.get()
    assert (attempt.code, attempt.reply, attempt.outcome) == (550, "", "failed")


def test_rows_of_others_lose_the_address_alone(sent_to_ann: Batch) -> None:
    erase_person(SPELLING)
    assert sent_to_ann.emails.get(row=3).fields == [f"Bo, write to {MASK} too"]
    assert sent_to_ann.emails.get(row=3).address == "person3@example.org"
    other = RejectedRow.objects.get(batch=sent_to_ann, line=8)
    assert (other.raw, other.reason) == ([f"guardian: {MASK}", "x"], f"No @. {MASK}")


def test_own_rejected_row_is_emptied_though_it_holds_another_address(sent_to_ann: Batch) -> None:
    erase_person(SPELLING)
    own = RejectedRow.objects.get(batch=sent_to_ann, line=7)
    assert own.raw == ["", ""]


def test_address_is_suppressed_and_the_audit_has_its_digest(sent_to_ann: Batch) -> None:
    erase_person(SPELLING)
    assert is_suppressed(ANN)
    entry = AuditEntry.objects.get(action=AuditAction.PERSON_ERASE)
    assert entry.details == {"person": digest_address(ANN)}
    assert ANN not in str(vars(entry))


def test_second_erasure_changes_nothing(ann_everywhere: Batch) -> None:
    erase_person(SPELLING)
    before = dump_database()
    assert erase_person(SPELLING).counts == {}
    assert Suppression.objects.count() == 1
    assert [line for line in dump_database().splitlines() if "auditentry" not in line] == [
        line for line in before.splitlines() if "auditentry" not in line
    ]


def test_other_people_stay_as_they_are(upload: Upload) -> None:
    others = [
        "joann@example.org",
        "ann+club@example.org",
        "ann@example.org.uk",
        "jo.ann@example.org",
        "ann@x.example.org",
    ]
    batch = upload("email,name\n" + "".join(f"{address},n\n" for address in others) + f"{ANN},Ann\n")
    assert erase_person(SPELLING).counts == {"recipients of drafts": 1, "stored files": 1}
    assert list(batch.emails.order_by("row").values_list("address", flat=True)) == others
    assert not any(map(is_suppressed, others))


@pytest.mark.parametrize("typed", ["zoe@bücher.example", "ZOE@xn--bcher-kva.example"])
def test_domain_in_unicode_is_erased_in_both_spellings(upload: Upload, sent_to_ann: Batch, typed: str) -> None:
    upload("email,name\nZoe@BÜCHER.example,Zoë\n")
    Email.objects.filter(batch=sent_to_ann, row=4).update(
        address="zoe@xn--bcher-kva.example", reply="zoe@bücher.example is unknown"
    )
    erase_person(Spelling.read(typed))
    assert "cher" not in dump_database()


def test_draft_keeps_its_other_rows_and_loses_its_file(upload: Upload) -> None:
    draft = upload(f"email,name\n{ANN},Ann\nbo@example.org,Bo\n")
    erase_person(SPELLING)
    draft.refresh_from_db()
    assert (draft.total_count, draft.emails.get().address) == (1, "bo@example.org")
    assert not UploadChunk.objects.exists()


def test_review_of_a_draft_is_void_when_a_cell_of_it_is_masked(upload: Upload) -> None:
    draft = upload(f"email,name\nbo@example.org,knows {ANN}\n")
    before = draft.content_digest
    erase_person(SPELLING)
    draft.refresh_from_db()
    assert draft.emails.get().fields == [f"knows {MASK}"]
    assert draft.content_digest not in ("", before)


def test_stored_file_goes_when_only_an_unread_part_holds_the_address(upload: Upload, sender: User) -> None:
    kept = upload("email,name\nbo@example.org,Bo\n")
    book = Path(__file__).parent.parent.parent / "data/csv/people.xlsx"
    changed = io.BytesIO()
    with zipfile.ZipFile(book) as old, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            new.writestr(part, old.read(part))
        new.writestr("xl/comments1.xml", f"<comments><t>Ask {ANN} first</t></comments>")
    changed.seek(0)
    holding = import_csv(changed, filename="people.xlsx", user=sender, options=ReadingOptions()).batch
    assert find_person(SPELLING).uploads == [holding.pk]
    erase_person(SPELLING)
    assert set(UploadChunk.objects.values_list("batch", flat=True)) == {kept.pk}


def test_file_in_utf_16_is_searched(upload: Upload) -> None:
    draft = upload(f"email\tname\nbo@example.org\tknows {ANN}\n".encode("utf-16"))
    assert find_person(SPELLING).uploads == [draft.pk]


def test_account_loses_its_address_and_names(ann_everywhere: Batch) -> None:
    user = User.objects.get(username="annberg")
    [remark] = erase_person(SPELLING).remarks
    user.refresh_from_db()
    assert (user.email, user.first_name, user.last_name, user.is_active) == ("", "", "", True)
    assert "annberg" in remark


def test_account_whose_name_is_the_address_is_closed() -> None:
    user = User.objects.create_user(ANN, "")
    erase_person(SPELLING)
    user.refresh_from_db()
    assert (user.username, user.is_active, user.has_usable_password()) == (f"erased-{user.pk}", False, False)


def test_address_beyond_ascii_is_erased_from_json_that_escapes_it(sender: User) -> None:
    entry = LogEntry.objects.create(
        user=sender, object_repr="", action_flag=CHANGE, change_message=json.dumps([{"object": "zoë@example.org"}])
    )
    erase_person(Spelling.read("ZOË@example.org"))
    entry.refresh_from_db()
    assert json.loads(entry.change_message) == [{"object": MASK}]


def test_two_people_are_erased_when_their_addresses_are_in_a_unique_column(sender: User) -> None:
    for address in (ANN, "bo@example.org"):
        Batch.objects.create(
            created_by=sender, source=BatchSource.LIST, filename="x.csv", idempotency_key=f"welcome {address}"
        )
    erase_person(SPELLING)
    erase_person(Spelling.read("bo@example.org"))
    keys = [str(key) for key in Batch.objects.values_list("idempotency_key", flat=True)]
    assert len(set(keys)) == 2 and all(key.startswith(f"welcome {MASK}") for key in keys)


def test_closed_account_loses_what_it_signed_in_with() -> None:
    User.objects.create_superuser("boss")
    user = User.objects.create_user(ANN, "")
    other = User.objects.create_user("annberg", ANN)
    token = ApiToken.objects.issue(user, name="laptop")
    for each in (user, other):
        Authenticator.objects.create(user=each, type=Authenticator.Type.TOTP, data={"secret": "x"})
        SocialAccount.objects.create(user=each, provider="oidc", uid=f"u{each.pk}", extra_data={"name": "Ann Berg"})
        key = f"s{each.pk}".ljust(32, "s")
        Session.objects.create(session_key=key, session_data="", expire_date=timezone.now() + timedelta(days=1))
        UserSession.objects.create(user=each, ip="192.0.2.9", session_key=key, user_agent="Firefox of Ann")
    erase_person(SPELLING)
    assert ApiToken.objects.find_usable(token) is None and not ApiToken.objects.filter(user=user).exists()
    for model in (Authenticator, SocialAccount, UserSession):
        assert [each.user_id for each in model.objects.all()] == [other.pk]
    assert Session.objects.count() == 1
    assert SocialAccount.objects.get().extra_data == {}


def test_session_keeps_the_rest_of_its_data(ann_everywhere: Batch) -> None:
    erase_person(SPELLING)
    assert Session.objects.get().get_decoded() == {"test_address": MASK, "other": [1, {"x": f"to {MASK}"}]}


def test_cached_values_of_others_stay(ann_everywhere: Batch) -> None:
    erase_person(SPELLING)
    assert (cache.get("of-somebody"), cache.get("of-another")) == (None, {"typed": "bo@example.org"})


def test_keys_of_redis_without_the_address_stay(ann_everywhere: Batch) -> None:
    erase_person(SPELLING)
    assert queues.client().keys() == [b"emailbatch:letter-check:record:y"]


def test_erasure_is_refused_for_a_sender(make_sender: MakeSender, sent_to_ann: Batch) -> None:
    make_sender("office", reply_to=ANN)
    before = dump_database()
    with pytest.raises(ErasureRefused, match="office"):
        erase_person(SPELLING)
    assert dump_database() == before


def test_erasure_is_refused_for_the_only_administrator() -> None:
    User.objects.create_superuser(ANN, ANN)
    with pytest.raises(ErasureRefused, match="administrator"):
        erase_person(SPELLING)
    assert not Suppression.objects.exists()


def test_exports_of_an_erased_list_keep_their_columns(sent_to_ann: Batch) -> None:
    erase_person(SPELLING)
    lines = b"".join(results_csv(sent_to_ann)).decode("utf-8-sig").splitlines()
    assert lines[1].startswith(",,failed,550,")
    assert len(b"".join(rejected_csv(sent_to_ann)).splitlines()) == 4


def test_no_replay_sends_to_an_erased_person(sent_to_ann: Batch) -> None:
    erase_person(SPELLING)
    with pytest.raises(JobRefused, match="no failed emails"):
        creation.replay_batch(sent_to_ann, which=JobKind.FAILED, user=None)
    assert creation.replay_batch(sent_to_ann, which=JobKind.ALL, user=None).total_count == 2


def test_command_says_what_was_removed(ann_everywhere: Batch) -> None:
    out = io.StringIO()
    call_command("person", "erase", "Ann@EXAMPLE.org", "--yes", stdout=out)
    assert "emails 1" in out.getvalue()
    assert "do-not-send list" in out.getvalue()
    assert ANN not in dump_database()
    assert AuditEntry.objects.get(action=AuditAction.PERSON_ERASE).via == "command person"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["erase", "nobody", "--yes"], "@"),
        (["erase", "a@example.org, b@example.org", "--yes"], "two addresses"),
        (["erase", ANN], "Add --yes"),
    ],
)
def test_command_refuses_with_a_sentence(arguments: list[str], sentence: str, sent_to_ann: Batch) -> None:
    before = dump_database()
    with pytest.raises(CommandError, match=sentence):
        call_command("person", *arguments, stderr=io.StringIO())
    assert dump_database() == before


def test_person_of_whom_nothing_is_known_is_suppressed(make_batch: MakeBatch) -> None:
    make_batch(sent=1)
    assert erase_person(Spelling.read("nobody@example.org")).counts == {}
    assert is_suppressed("nobody@example.org")
