"""An export has everything about one person, and nothing about others."""

from __future__ import annotations

import io
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.core.serializers.json import DjangoJSONEncoder

from batches import audit
from batches.models import AuditAction, AuditEntry, Batch
from batches.people import Spelling, export_person
from batches.suppressions import digest_address, suppress
from tests.conftest import MakeSender
from tests.integration.people.conftest import ANN

pytestmark = pytest.mark.django_db


def export(address: str = ANN) -> dict[str, Any]:
    text = DjangoJSONEncoder().encode(export_person(Spelling.read(address)))
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def test_export_has_every_part(ann_everywhere: Batch, make_sender: MakeSender) -> None:
    make_sender("office", reply_to=ANN)
    suppress(ANN, reason="asked for it")
    audit.record(AuditAction.PERSON_SEARCH, person=digest_address(ANN))
    found = export("ANN@example.org")
    sent, of_draft = found["emails"]
    assert (sent["address"], sent["fields"], sent["code"]) == ("Ann@example.org", {"name": "Ann Berg"}, 550)
    assert [attempt["reply"] for attempt in sent["attempts"]] == [f"5.1.1 <{ANN}> gone"]
    assert of_draft["fields"] == {"name": "Ann"}
    assert [row["line"] for row in found["rejectedRows"]] == [7]
    assert [upload["lines"] for upload in found["uploads"]] == [[f"{ANN},Ann"], [f"bo@example.org,knows {ANN}"]]
    assert [user["username"] for user in found["users"]] == ["annberg"]
    assert [sender["key"] for sender in found["senders"]] == ["office"]
    assert found["suppression"]["reason"] == "asked for it"
    [messages] = found["stores"].values()
    assert len(messages) == 2
    assert found["redis"] == ["emailbatch:letter-check:record:x", "rq:job:lane-1-1-1"]
    assert "person_search" in [entry["action"] for entry in found["audit"]]


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
