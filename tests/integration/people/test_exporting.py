"""An export has everything about one person, and nothing about others."""

from __future__ import annotations

import io
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import BinaryField, CharField, JSONField, TextField

from batches import audit
from batches.models import ApiToken, AuditAction, AuditEntry, Batch, SuppressionReason, Topic
from batches.models.topic import NEWS_TOPIC
from batches.people import Spelling, export_person
from batches.people.searching import OWN_TABLES, SKIPPED_TABLES, read_tables
from batches.suppressions import digest_address, find_digest, suppress
from batches.unsubscribe_tokens import UnsubscribeToken
from batches.unsubscribing import unsubscribe
from tests.conftest import MakeSender
from tests.integration.people.conftest import ANN

pytestmark = pytest.mark.django_db


def export(address: str = ANN) -> dict[str, Any]:
    text = DjangoJSONEncoder().encode(export_person(Spelling.read(address)))
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def test_export_has_every_part(ann_everywhere: Batch, make_sender: MakeSender) -> None:
    make_sender("office", reply_to=ANN)
    suppress(ANN, reason=SuppressionReason.MANUAL)
    audit.record(AuditAction.PERSON_SEARCH, person=digest_address(ANN))
    unsubscribe(UnsubscribeToken(topic_id=Topic.objects.get(key=NEWS_TOPIC).pk, digest=find_digest(ANN)), source="page")
    found = export("ANN@example.org")
    sent, of_draft = found["emails"]
    assert (sent["address"], sent["fields"], sent["code"]) == ("Ann@example.org", {"name": "Ann Berg"}, 550)
    assert [attempt["reply"] for attempt in sent["attempts"]] == [f"5.1.1 <{ANN}> gone"]
    assert of_draft["fields"] == {"name": "Ann"}
    assert [row["line"] for row in found["rejectedRows"]] == [7]
    assert [upload["lines"] for upload in found["uploads"]] == [[f"{ANN},Ann"], [f"bo@example.org,knows {ANN}"]]
    assert [user["username"] for user in found["users"]] == ["annberg"]
    assert [sender["key"] for sender in found["senders"]] == ["office"]
    reasons = {each["reason"] for each in found["suppressions"]}
    assert reasons == {SuppressionReason.MANUAL, SuppressionReason.UNSUBSCRIBED}
    [messages] = found["stores"].values()
    assert len(messages) == 2
    assert found["redis"] == ["emailbatch:letter-check:record:x", "rq:job:lane-1-1-1"]
    assert {"person_search", "unsubscribe"} <= {entry["action"] for entry in found["audit"]}


def test_export_has_what_an_account_has_without_its_secrets(ann_everywhere: Batch) -> None:
    user = User.objects.get(username="annberg")
    token = ApiToken.objects.issue(user, name="laptop")
    UserSession.objects.create(user=user, ip="192.0.2.9", session_key="k" * 32, user_agent="Firefox")
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={"secret": "of-the-factor"})
    SocialAccount.objects.create(user=user, provider="oidc", uid="7", extra_data={"name": "Ann Berg"})
    found = export()
    [account] = found["users"]
    assert [each["name"] for each in account["tokens"]] == ["laptop"]
    assert [(each["ip"], each["user_agent"]) for each in account["sessions"]] == [("192.0.2.9", "Firefox")]
    assert [each["type"] for each in account["factors"]] == ["totp"]
    assert [each["extra_data"] for each in account["identities"]] == [{"name": "Ann Berg"}]
    text = json.dumps(found)
    assert not any(secret in text for secret in (token, "of-the-factor", "k" * 32, user.password))


def test_export_names_the_sessions_and_cached_values_that_hold_the_address(ann_everywhere: Batch) -> None:
    mentions = {each["table"]: each["text"] for each in export()["mentions"]}
    assert (mentions["django_session"], mentions["batches_cache"]) == (ANN, ANN)


OF_ACCOUNTS = {
    "account_emailaddress.user",  # its address is a mention
    "batches_apitoken.user",
    "batches_preference.user",
    "mfa_authenticator.user",
    "socialaccount_socialaccount.user",
    "usersessions_usersession.user",
}
"""What an account has. ``describe_account`` exports it."""

OF_AUTHORS = {
    "batches_approval.asked_by",
    "batches_approval.decided_by",
    "batches_batch.created_by",
    "batches_confirmation.by",
    "batches_emailjob.created_by",
    "batches_emailjob.resumed_by",
    "batches_emailtemplate.owner",
    "batches_picture.uploaded_by",
    "batches_sender.users",
    "batches_templateversion.saved_by",
    "django_admin_log.user",
}
"""What an account made or may use. The audit tells it."""

BINARY = {
    "batches_suppression.digest",
    "batches_email.address_digest",
    "batches_person.digest",
    "batches_picture.content",
    "batches_return.address_digest",
    "batches_suppressionlist.key",
    "batches_uploadchunk.data",
}


def test_each_column_that_may_hold_a_person_is_known() -> None:
    fields = [field for model in apps.get_models() for field in (*model._meta.fields, *model._meta.many_to_many)]
    names = {field: f"{field.model._meta.db_table}.{field.name}" for field in fields}
    of_users = {name for field, name in names.items() if field.related_model is User}
    assert of_users == OF_ACCOUNTS | OF_AUTHORS
    assert {name for field, name in names.items() if isinstance(field, BinaryField)} == BINARY
    searched = {(table.name, column) for table in read_tables() for column in table.columns}
    texts = {
        (field.model._meta.db_table, field.column)
        for field in fields
        if isinstance(getattr(field, "base_field", field), CharField | TextField | JSONField)
    }
    unsearched = {table for table, _ in texts - searched}
    assert unsearched == (SKIPPED_TABLES | OWN_TABLES) - {"batches_cache", "django_migrations"}  # they have no model


def test_export_has_only_the_cells_of_others_that_hold_the_address(sent_to_ann: Batch) -> None:
    sent_to_ann.emails.filter(row=3).update(fields=[f"Ann is {ANN}", "secret of Bo"])
    text = json.dumps(export()["mentions"])
    assert "secret of Bo" not in text
    assert f"Ann is {ANN}" in text


def test_export_is_empty_when_nothing_is_known(sent_to_ann: Batch) -> None:
    found = export("nobody@example.org")
    assert found["address"] == "nobody@example.org"
    assert not any(value for name, value in found.items() if name not in ("address", "exportedAt", "stores"))
    assert not any(found["stores"].values())


def test_command_writes_a_file_that_nobody_else_may_read(sent_to_ann: Batch, tmp_path: Path) -> None:
    output = tmp_path / "ann.json"
    call_command("person", "export", ANN, "--output", str(output))
    assert json.loads(output.read_text())["address"] == ANN
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert AuditEntry.objects.filter(action=AuditAction.PERSON_EXPORT).count() == 1


def test_command_writes_to_standard_output(sent_to_ann: Batch) -> None:
    out = io.StringIO()
    call_command("person", "export", ANN, stdout=out)
    assert len(json.loads(out.getvalue())["emails"]) == 1


def test_command_says_when_the_file_cannot_be_written(sent_to_ann: Batch, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="Name another file"):
        call_command("person", "export", ANN, "--output", str(tmp_path / "missing" / "ann.json"))
