"""Each statement fits the tables, and answers as many columns as its row has names."""

from __future__ import annotations

import re

import pytest
from django.db import connection

from batches.intake import sql as intake_sql
from batches.models import sql

STATEMENTS = {
    name: value
    for module in (sql, intake_sql)
    for name, value in vars(module).items()
    if isinstance(value, sql.Statement)
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", STATEMENTS)
def test_columns_are_those_of_the_row_when_the_statement_is_prepared(name: str) -> None:
    if name.startswith("RESOLVE_") or name == "COUNT_ODD_RESOLVED":
        with connection.cursor() as cursor:
            cursor.execute(intake_sql.CREATE_POSSIBLE_DUPLICATES)
    statement = STATEMENTS[name]
    [row] = statement.rows([()])  # without values: only the names count
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    numbered = re.sub(r"%\((\w+)\)s", lambda match: f"${names.index(match[1]) + 1}", statement).replace("%%", "%")
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")  # a prepared statement outlives the transaction of its test
        cursor.execute(f"PREPARE checked AS {numbered}")
        cursor.execute("SELECT array_length(result_types, 1) FROM pg_prepared_statements WHERE name = 'checked'")
        assert cursor.fetchall() == [(len(row._fields),)]
