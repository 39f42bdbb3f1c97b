"""The loader of the .sql files, and what each statement of the project must have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from batches.intake import sql as intake_sql
from batches.models import sql

FILES = sorted({*Path(sql.__file__).parent.glob("*.sql"), *Path(intake_sql.__file__).parent.glob("*.sql")})
CACHED_LENGTH_MAX = 4096
"""psycopg converts the placeholders of a longer statement again at each execution (psycopg 3.3)."""

SOURCE = """-- A word about the file.

-- name: is_odd
-- A part of this file.
e.row % 2 = 1 AND {is_untried}

-- name: FIND_ODD
-- Find the odd rows.
-- A reason, which PostgreSQL need not know.
SELECT e.row
FROM batches_email e WHERE {is_odd} OR e.status = {sent} -- kept

-- name: EMPTY_ROWS
-- The braces of an array stay.
SELECT '{}'::int[]
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "odd.sql"
    path.write_text(SOURCE)
    return path


def test_statement_has_its_parts_and_no_comment_when_it_is_loaded(source: Path) -> None:
    assert sql.load(source) == {
        "FIND_ODD": "SELECT e.row\nFROM batches_email e WHERE e.row % 2 = 1 AND e.status = 'pending'"
        " AND e.next_attempt_at IS NULL OR e.status = 'sent' -- kept",
        "EMPTY_ROWS": "SELECT '{}'::int[]",
    }


def test_loading_fails_when_a_part_does_not_exist(source: Path) -> None:
    source.write_text("-- name: FIND_EVEN\n-- Find the even rows.\nSELECT {is_even}")
    with pytest.raises(KeyError, match="is_even"):
        sql.load(source)


def test_columns_have_names_when_rows_were_fetched() -> None:
    [lane] = sql.LANES_TO_ENQUEUE.rows([(1, 2, 3, "high")])
    assert lane == sql.LaneToEnqueue(lane_id=1, job_id=2, token=3, priority="high")
    assert lane.priority == "high"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_statement_says_its_purpose_when_it_has_a_name(path: Path) -> None:
    following = re.findall(r"^-- name: (\w+)\n(.*)$", path.read_text(), re.MULTILINE)
    assert following
    assert [name for name, purpose in following if not re.fullmatch(r"-- [A-Z].*[.:,\w]", purpose)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_statement_is_a_constant_when_its_file_has_it(path: Path) -> None:
    module = intake_sql if path.parent == Path(intake_sql.__file__).parent else sql
    for name, text in sql.load(path).items():
        assert getattr(module, name) == text


def test_ledger_cycle_is_short_enough_for_psycopgs_cache() -> None:
    assert len(sql.LEDGER_CYCLE) <= CACHED_LENGTH_MAX
