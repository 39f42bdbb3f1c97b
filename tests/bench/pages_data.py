"""Fill a database with many rows quickly: batches of millions, and a hundred thousand small ones.

A connection of psycopg and counts enter. The rows are as sending leaves them: each batch has its job, four lanes, and
an attempt for each email that was sent or failed. Nothing is sent, and no page is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg

LANES = 4

FAILED_REPLY = "no such user"
"""After a status and the address: as from most mail servers, no two replies are equal."""
SUPPRESSED_REPLY = "The address is on the do-not-send list, so it was not sent."
OFTEN = "often@example.org"
"""Gets many mails."""
RECORDED_ROWS = 1_000_000
"""The most rows of a batch whose attempts are recorded. Of further rows, those of the failed alone."""

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

DIGEST = (
    """substr(sha256(%(outer_key)s::bytea || sha256(%(inner_key)s::bytea || convert_to({address}, 'UTF8'))), 1, 16)"""
)

EMAILS = """
INSERT INTO batches_email (batch_id, row, address, address_digest, fields, status, attempts, lane_id, code, reply,
                           completed_at)
SELECT %(batch)s, n, 'person' || n || '@mail' || n %% 997 || '.example.com',
       {digest},
       jsonb_build_array((ARRAY['Anna', 'Zoë', 'Bert', 'Chiara', 'Jürgen'])[1 + n %% 5] || ' Person ' || n,
                         'City ' || n %% 100, 'C' || n),
       state.status, (%(lane)s::bigint IS NOT NULL)::int, %(lane)s::bigint + n %% 4, state.code,
       CASE WHEN state.status = 'failed'
         THEN '5.1.1 <person' || n || '@mail' || n %% 997 || '.example.com>: ' ELSE '' END
         || state.reply,
       CASE WHEN state.code > 0 THEN now() - interval '1 day' END
FROM generate_series(1, %(count)s) n CROSS JOIN LATERAL (
  SELECT * FROM (VALUES ('failed', 550, %(failed_reply)s), ('sent', 250, '2.0.0 Ok: queued'), ('pending', NULL, ''))
    AS known (status, code, reply)
  WHERE status = CASE WHEN %(lane)s::bigint IS NULL THEN 'pending'
                      WHEN n %% %(failed_each)s = 0 THEN 'failed' ELSE 'sent' END
) state
""".replace("{digest}", DIGEST.format(address="'person' || n || '@mail' || n %% 997 || '.example.com'"))

ATTEMPTS = """
INSERT INTO batches_attempt (email_id, lane_id, number, outcome, code, reply, relay, at)
SELECT id, lane_id, 1, status, code, reply, 'default', completed_at FROM batches_email
WHERE batch_id = %(batch)s AND lane_id IS NOT NULL AND (row <= %(recorded)s OR status = 'failed')
"""

LEAVE_OUT = [
    """UPDATE batches_email SET status = 'suppressed', code = NULL, reply = %(reply)s
    WHERE batch_id = %(batch)s AND row IN (%(count)s / 3 + 1, %(count)s / 2, %(count)s - 2000) AND status = 'sent'""",
    """UPDATE batches_email SET status = 'cancelled', code = NULL, reply = '', lane_id = NULL, attempts = 0
    WHERE batch_id = %(batch)s AND row > %(count)s - 1000 AND status = 'sent'""",
    """UPDATE batches_batch b SET sent_count = total_count - failed_count - left_out.suppressed - left_out.cancelled,
      suppressed_count = left_out.suppressed, cancelled_count = left_out.cancelled
    FROM (SELECT count(*) FILTER (WHERE status = 'suppressed') AS suppressed,
                 count(*) FILTER (WHERE status = 'cancelled') AS cancelled
          FROM batches_email WHERE batch_id = %(batch)s) left_out
    WHERE b.id = %(batch)s""",
]

RETURNS = [
    """INSERT INTO batches_return (batch_id, email_id, kind, return_class, status_code, text, domain, door, event_key)
    SELECT batch_id, id, 'bounced', 'gone', '5.1.1', 'user unknown', 'mail7.example.com', 'imap', 'bench ' || id
    FROM batches_email WHERE batch_id = %(batch)s AND status = 'sent' AND row %% 100 = 1""",
    """UPDATE batches_batch SET returned_count = (SELECT count(*) FROM batches_return WHERE batch_id = %(batch)s)
    WHERE id = %(batch)s""",
]

DIGEST_OF_ONE = DIGEST.format(address="%(address)s::text")

ONE_PERSON = [
    """UPDATE batches_email SET address = %(address)s::text, address_digest = {digest}
    WHERE row = 1 AND batch_id > (SELECT max(id) FROM batches_batch) - %(count)s""".replace("{digest}", DIGEST_OF_ONE),
    """INSERT INTO batches_person (owner_id, digest, words)
    VALUES (%(owner)s, {digest}, '  ' || %(address)s::text || ' ')""".replace("{digest}", DIGEST_OF_ONE),
    """INSERT INTO batches_personemail (person_id, batch_id, row)
    SELECT p.id, e.batch_id, e.row FROM batches_email e JOIN batches_person p ON p.digest = e.address_digest
    WHERE e.address = %(address)s::text""",
    "SELECT id FROM batches_person",
]

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
  INSERT INTO batches_emailjob (batch_id, kind, status, priority, template_id, template_key, subject, html, text,
    from_email, total_count, sent_count, failed_count, last_error, relay_failure_count, handed_out_to_row,
    created_by_id, started_at, completed_at)
  SELECT id, 'first', 'completed', 'default', (SELECT id FROM batches_emailtemplate WHERE key = 'bench'), 'bench',
    CASE WHEN id %% 50000 = 7 THEN 'A rare subject' ELSE 'News' END, '', 'Dear {{ name }}', 'news@example.org', 5, 5, 0,
    '', 0, 5, %(owner)s, completed_at, completed_at
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
    values = {
        "batch": batch_id,
        "lane": lane_id,
        "count": count,
        "failed_each": failed_each,
        "failed_reply": FAILED_REPLY,
    }
    connection.execute(EMAILS, values | dict(keys))
    connection.execute(ATTEMPTS, {"batch": batch_id, "recorded": RECORDED_ROWS})
    return int(batch_id)


def return_some(connection: psycopg.Connection[Any], *, batch_id: int) -> None:
    """Let one in a hundred mails of a batch come back."""
    for statement in RETURNS:
        connection.execute(statement, {"batch": batch_id})


def leave_some_out(connection: psycopg.Connection[Any], *, batch_id: int, count: int) -> None:
    """Let three emails of a batch be suppressed, and its last thousand be cancelled."""
    for statement in LEAVE_OUT:
        connection.execute(statement, {"batch": batch_id, "count": count, "reply": SUPPRESSED_REPLY})


def make_person(connection: psycopg.Connection[Any], *, owner: int, keys: Mapping[str, bytes], mail_count: int) -> int:
    """Give one person a mail of each of the newest batches, and return the id of the person."""
    values = {"owner": owner, "count": mail_count, "address": OFTEN, **keys}
    for statement in ONE_PERSON:
        found = connection.execute(statement, values)
    row = found.fetchone()
    assert row is not None
    return int(row[0])


def make_small_batches(connection: psycopg.Connection[Any], *, owner: int, count: int) -> None:
    """Insert ended batches of five emails."""
    connection.execute(SMALL_BATCHES, {"owner": owner, "count": count, "lanes": LANES})


def analyze(connection: psycopg.Connection[Any]) -> None:
    """Do what autovacuum does within a few minutes."""
    connection.execute("VACUUM ANALYZE")
    connection.execute("CHECKPOINT")
