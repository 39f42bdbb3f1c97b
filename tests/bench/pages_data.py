"""Fill a database with many rows quickly: batches of millions, and a hundred thousand small ones.

A connection of psycopg and counts enter. The rows are as sending leaves them: each batch has its job, four lanes, and
an attempt for each email that was sent or failed. Nothing is sent, and no page is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg

LANES = 4

BATCH = """
WITH batch AS (
  INSERT INTO batches_batch (created_by_id, filename, source, status, columns, address_index, merge_fields, encoding,
    delimiter, has_header, reading, content_digest, total_count, sent_count, failed_count, unknown_count,
    suppressed_count, cancelled_count, rejected_count, duplicate_count, request_digest, completed_at, blank_counts,
    smtputf8_count)
  VALUES (%(owner)s, %(filename)s, 'upload', %(status)s, '["email", "name", "city", "code"]', 0,
    '["name", "city", "code"]', 'utf-8',
    ',', true, '{}', '', %(count)s, %(sent)s, %(failed)s, 0, 0, 0, 0, 0, '', %(completed_at)s,
    '[0, 0, 0]', 0)
  RETURNING id
), job AS (
  INSERT INTO batches_emailjob (batch_id, kind, status, priority, template_key, subject, html, text, from_email,
    total_count, sent_count, failed_count, last_error, relay_failure_count, handed_out_to_row, created_by_id,
    started_at, completed_at)
  SELECT id, 'first', 'completed', 'default', 'bench', 'News', '', 'Dear {{ name }}', 'news@example.org', %(count)s,
    %(sent)s, %(failed)s, '', 0, %(count)s, %(owner)s, %(completed_at)s, %(completed_at)s
  FROM batch WHERE %(completed_at)s::timestamptz IS NOT NULL
  RETURNING id
), lanes AS (
  INSERT INTO batches_lane (job_id, number, token, worker, sent_count, failed_count, unknown_count, retried_count,
    rate_per_second, range_after_row, range_end_row, claimed_rows, claimed_relays)
  SELECT id, number, 1, '', 0, 0, 0, 0, 0, 0, 0, '{}', '{}' FROM job, generate_series(0, %(lanes)s - 1) number
  RETURNING id
)
SELECT batch.id, (SELECT min(id) FROM lanes) FROM batch
"""

EMAILS = """
INSERT INTO batches_email (batch_id, row, address, address_digest, fields, status, attempts, lane_id, code, reply,
                           completed_at)
SELECT %(batch)s, n, 'person' || n || '@mail' || n %% 997 || '.example.com',
       substr(sha256(%(outer_key)s::bytea || sha256(%(inner_key)s::bytea || convert_to(
         'person' || n || '@mail' || n %% 997 || '.example.com', 'UTF8'))), 1, 16),
       jsonb_build_array((ARRAY['Anna', 'Zoë', 'Bert', 'Chiara', 'Jürgen'])[1 + n %% 5] || ' Person ' || n,
                         'City ' || n %% 100, 'C' || n),
       state.status, (%(lane)s::bigint IS NOT NULL)::int, %(lane)s::bigint + n %% 4, state.code, state.reply,
       CASE WHEN state.code > 0 THEN now() - interval '1 day' END
FROM generate_series(1, %(count)s) n CROSS JOIN LATERAL (
  SELECT * FROM (VALUES ('failed', 550, '5.1.1 no such user'), ('sent', 250, '2.0.0 Ok: queued'), ('pending', NULL, ''))
    AS known (status, code, reply)
  WHERE status = CASE WHEN %(lane)s::bigint IS NULL THEN 'pending'
                      WHEN n %% %(failed_each)s = 0 THEN 'failed' ELSE 'sent' END
) state
"""

ATTEMPTS = """
INSERT INTO batches_attempt (email_id, lane_id, number, outcome, code, reply, relay, at)
SELECT id, lane_id, 1, status, code, reply, 'default', completed_at FROM batches_email
WHERE batch_id = %(batch)s AND lane_id IS NOT NULL
"""

SMALL_BATCHES = """
WITH batch AS (
  INSERT INTO batches_batch (created_by_id, filename, source, status, columns, address_index, merge_fields, encoding,
    delimiter, has_header, reading, content_digest, total_count, sent_count, failed_count, unknown_count,
    suppressed_count, cancelled_count, rejected_count, duplicate_count, request_digest, completed_at)
  SELECT %(owner)s, 'list-' || n || '.csv', 'upload', 'completed', '["email", "name"]', 0, '["name"]', 'utf-8', ',',
    true, '{}', '', 5, 5, 0, 0, 0, 0, 0, 0, '', now() - n * interval '1 minute'
  FROM generate_series(1, %(count)s) n
  RETURNING id, completed_at
), job AS (
  INSERT INTO batches_emailjob (batch_id, kind, status, priority, template_key, subject, html, text, from_email,
    total_count, sent_count, failed_count, last_error, relay_failure_count, handed_out_to_row, created_by_id,
    started_at, completed_at)
  SELECT id, 'first', 'completed', 'default', 'bench', 'News', '', 'Dear {{ name }}', 'news@example.org', 5, 5, 0, '',
    0, 5, %(owner)s, completed_at, completed_at
  FROM batch RETURNING id, batch_id
), lanes AS (
  INSERT INTO batches_lane (job_id, number, token, worker, sent_count, failed_count, unknown_count, retried_count,
    rate_per_second, range_after_row, range_end_row, claimed_rows, claimed_relays)
  SELECT id, number, 1, '', 0, 0, 0, 0, 0, 0, 0, '{}', '{}' FROM job, generate_series(0, %(lanes)s - 1) number
  RETURNING id, job_id, number
), emails AS (
  INSERT INTO batches_email (batch_id, row, address, address_digest, fields, status, attempts, lane_id, code, reply,
                             completed_at)
  SELECT job.batch_id, n, 'member' || job.batch_id %% 20000 || '.' || n || '@example.org',
         decode(md5(job.batch_id || ' ' || n), 'hex'), jsonb_build_array('Member ' || n), 'sent', 1, lanes.id,
         250, 'ok',
         now()
  FROM job JOIN lanes ON lanes.job_id = job.id AND lanes.number = 0 CROSS JOIN generate_series(1, 5) n
  RETURNING id, lane_id, completed_at
)
INSERT INTO batches_attempt (email_id, lane_id, number, outcome, code, reply, relay, at)
SELECT id, lane_id, 1, 'sent', 250, 'ok', 'default', completed_at FROM emails
"""


def make_batch(
    connection: psycopg.Connection[Any],
    *,
    owner: int,
    keys: Mapping[str, bytes],
    count: int,
    failed_count: int = 0,
    is_draft: bool = False,
) -> int:
    """Insert one batch and return its id. The failed emails are spread evenly over its rows.

    ``keys`` is ``suppressions.pad_key`` of the site's key: the digests are those of the addresses.
    """
    failed_each = count // failed_count if failed_count else count + 1
    failed = count // failed_each
    row = connection.execute(
        BATCH,
        {
            "owner": owner,
            "filename": f"list-of-{count}.csv",
            "status": "draft" if is_draft else "completed",
            "count": count,
            "sent": 0 if is_draft else count - failed,
            "failed": 0 if is_draft else failed,
            "completed_at": None if is_draft else "2026-01-01",
            "lanes": LANES,
        },
    ).fetchone()
    assert row is not None
    batch_id, lane_id = row
    values = {"batch": batch_id, "lane": lane_id, "count": count, "failed_each": failed_each}
    connection.execute(EMAILS, values | dict(keys))
    connection.execute(ATTEMPTS, {"batch": batch_id})
    return int(batch_id)


def make_small_batches(connection: psycopg.Connection[Any], *, owner: int, count: int) -> None:
    """Insert ended batches of five emails."""
    connection.execute(SMALL_BATCHES, {"owner": owner, "count": count, "lanes": LANES})


def analyze(connection: psycopg.Connection[Any]) -> None:
    """Do what autovacuum does within a few minutes."""
    connection.execute("VACUUM ANALYZE")
    connection.execute("CHECKPOINT")
