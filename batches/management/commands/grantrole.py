"""``manage.py grantrole ROLE``: let a database role do what the application needs, and not change the audit."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection, transaction

STATEMENTS = (
    "GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {role}",  # an import copies into a temporary table
    "GRANT USAGE ON SCHEMA {schema} TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
    "REVOKE UPDATE, DELETE, TRUNCATE ON {audit} FROM {role}",
    "REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {migrations} FROM {role}",
)
"""In this order: the audit is taken away from what all tables have."""

FIND_FAULT = """
SELECT r.rolsuper, pg_has_role(%(role)s, c.relowner, 'MEMBER')
FROM pg_roles r CROSS JOIN pg_class c
WHERE r.rolname = %(role)s AND c.oid = %(audit)s::regclass
"""
"""Whether the role is a superuser, or may act as the owner of the audit. No REVOKE takes anything from either."""

AUDIT_TABLE = "batches_auditentry"


class Command(BaseCommand):
    help = (
        "Let a role of the database do what web and workers need, and neither change nor delete the audit. Run it as "
        "the role that owns the tables, after each migration. See docs/operations.md."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("role", metavar="ROLE", help="The role of the application. It must exist.")

    def handle(self, *args: Any, **options: Any) -> None:
        role: str = options["role"]
        refuse_unfit(role)
        try:
            grant(role)
        except DatabaseError as exc:
            raise CommandError(f"Nothing was granted: {exc}. Run this as the role that owns the tables.") from exc
        self.stdout.write(
            f"The role {role} may use every table, and only read and add to the audit. Give web and workers "
            "a DATABASE_URL with this role."
        )


def refuse_unfit(role: str) -> None:
    """Refuse a role from which the audit can't be kept.

    Raises:
        CommandError: There is no such role, it is a superuser, or it owns the tables.
    """
    with connection.cursor() as cursor:
        cursor.execute(FIND_FAULT, {"role": role, "audit": AUDIT_TABLE})
        found = cursor.fetchone()
    if found is None:
        raise CommandError(f"There is no role '{role}'. Make it with: CREATE ROLE ... LOGIN PASSWORD '...'.")
    if any(found):
        raise CommandError(
            f"The role '{role}' is a superuser, or the owner of the tables. Such a role can always change the audit. "
            "Make another for web and workers."
        )


def refuse_inherited(role: str) -> None:
    """Refuse a role that still may change the audit, by another role or by what everybody may. Undoes the grants.

    Raises:
        CommandError: It is a member of such a role, as pg_write_all_data is, or PUBLIC has the privilege.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_table_privilege(%s, %s, 'UPDATE, DELETE, TRUNCATE')", [role, AUDIT_TABLE])
        [(may_change,)] = cursor.fetchall()
    if may_change:
        raise CommandError(
            f"Nothing was granted: the role '{role}' may change the audit by another role that it belongs to, such as "
            "pg_write_all_data, or because PUBLIC may. Take that away, then run this again."
        )


def grant(role: str) -> None:
    """Grant, in one transaction, so that the role never may change the audit meanwhile. Safe to run again."""
    quote = connection.ops.quote_name
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT current_database(), current_schema()")
        database, schema = cursor.fetchone() or ("", "")
        names = {
            "role": quote(role),
            "database": quote(database),
            "schema": quote(schema),
            "audit": quote(AUDIT_TABLE),
            "migrations": quote("django_migrations"),
        }
        for statement in STATEMENTS:
            cursor.execute(statement.format(**names))
        refuse_inherited(role)
