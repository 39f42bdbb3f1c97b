"""``manage.py grantrole``: a second role of the database, which may do everything but change the audit."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection

from batches import audit
from batches.management.command import find_system_user
from batches.models import AuditAction, AuditEntry, EmailTemplate
from emailbatch.localstack import addresses
from tests import services
from tests.project_files import PROJECT_DIR

ROLE = "application_of_tests"

pytestmark = pytest.mark.django_db(transaction=True)

PROBE = """
import io, json, sys
from batches import audit, intake
from batches.jobs import creation, lifecycle
from batches.models import AuditAction, AuditEntry, Batch, EmailTemplate
from django.db import connection, transaction
def refused(statement):
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except Exception as exc:
        return getattr(exc.__cause__, "sqlstate", "") == "42501"  # insufficient_privilege
    return False
batch = intake.import_csv(io.BytesIO(b"email,name\\nann@example.org,Ann\\n"), filename="a.csv", user=None).batch
creation.create_job(batch, template=EmailTemplate.objects.get(), user=None)
lifecycle.cancel_batch(batch)
try:
    audit.delete_older(AuditEntry.objects.earliest("at").at)
    retention = "deleted"
except audit.RetentionRefused as exc:
    retention = str(exc)
print(json.dumps({
    "recorded": sorted(AuditEntry.objects.values_list("action", flat=True)),
    "refused": [refused(statement) for statement in (
        "UPDATE batches_auditentry SET via = 'x'", "DELETE FROM batches_auditentry", "TRUNCATE batches_auditentry",
        "ALTER TABLE batches_auditentry DISABLE TRIGGER ALL", "DROP TABLE batches_auditentry",
        "SET session_replication_role = replica", "DELETE FROM django_migrations",
    )],
    "retention": retention,
}))
"""


@pytest.fixture
def role(db: None) -> Iterator[str]:
    """A role that may log in and owns nothing."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {ROLE} LOGIN")
    yield ROLE
    with connection.cursor() as cursor:
        cursor.execute(f"DROP OWNED BY {ROLE}")
        cursor.execute(f"DROP ROLE {ROLE}")


def manage(tmp_path: Path, *arguments: str, options: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, with the database of the tests and options of its sessions."""
    name = connection.settings_dict["NAME"]
    environment = os.environ | {
        "DATABASE_URL": addresses.database_url(services.running.data_dir).replace("/emailbatch?", f"/{name}?"),
        "PGOPTIONS": options,
        "DATA_DIR": str(tmp_path),
        "REDIS_URL": addresses.redis_url(services.running.data_dir),
    }
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def run_as_role(tmp_path: Path) -> dict[str, object]:
    """Import, send and cancel a batch in a process that has the role, and attack the audit from it.

    The embedded server lets in by the user id of the process, so the role is taken at the beginning of each session.
    """
    said = manage(tmp_path, "shell", "--no-imports", "-c", PROBE, options=f"-c role={ROLE}")
    assert said.returncode == 0, said.stderr
    answer: dict[str, object] = json.loads(said.stdout.splitlines()[-1])
    return answer


def test_role_works_and_can_not_change_the_audit(role: str, welcome: EmailTemplate, tmp_path: Path) -> None:
    audit.record(AuditAction.SIGN_OUT)
    stdout = io.StringIO()
    call_command("grantrole", role, stdout=stdout)
    call_command("grantrole", role, stdout=stdout)  # as after each migration
    assert "only read and add to the audit" in stdout.getvalue()
    answer = run_as_role(tmp_path)
    assert {"upload", "send", "cancel", "sign_out"} <= set(answer["recorded"])  # type: ignore[call-overload]
    assert answer["refused"] == [True] * 7
    assert "may not delete entries" in str(answer["retention"])


@pytest.mark.usefixtures("db")
def test_commands_of_django_name_the_user_of_the_system(tmp_path: Path) -> None:
    probe = "from django.contrib.auth.models import User; User.objects.create_user('made-in-a-shell')"
    for arguments in (
        ["createsuperuser", "--noinput", "--username", "made", "--email", "made@example.org"],
        ["shell", "--no-imports", "-c", probe],
    ):
        said = manage(tmp_path, *arguments)
        assert said.returncode == 0, said.stderr
    entries = AuditEntry.objects.filter(action=AuditAction.USER_CHANGE, details__act="add").order_by("pk")
    assert [entry.via for entry in entries] == ["command createsuperuser", "command shell"]
    assert {entry.actor_name for entry in entries} == {find_system_user()}


def test_role_that_does_not_exist_is_named(db: None) -> None:
    with pytest.raises(CommandError, match="There is no role 'nobody_here'"):
        call_command("grantrole", "nobody_here")


def test_role_that_always_may_change_the_audit_is_refused(role: str) -> None:
    with pytest.raises(CommandError, match="superuser, or the owner"):
        call_command("grantrole", connection.settings_dict["USER"] or "postgres")
    with connection.cursor() as cursor:
        cursor.execute(f"GRANT {connection.settings_dict['USER'] or 'postgres'} TO {ROLE}")
    with pytest.raises(CommandError, match="superuser, or the owner"):
        call_command("grantrole", role)


def test_role_that_may_write_all_tables_is_refused_and_granted_nothing(role: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"GRANT pg_write_all_data TO {ROLE}")
    with pytest.raises(CommandError, match="by another role that it belongs to"):
        call_command("grantrole", role)
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_table_privilege(%s, 'batches_batch', 'SELECT')", [role])
        assert cursor.fetchall() == [(False,)]


def test_no_user_is_needed_to_grant(role: str) -> None:
    assert not User.objects.exists()
    call_command("grantrole", role, stdout=io.StringIO())
