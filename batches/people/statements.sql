-- The statements that find and remove one person. ``%(name)s`` is a placeholder of psycopg; the loader is
-- batches/models/sql. Each reads whole tables, so none takes a lock before it has found its rows.

-- name: FIND_EMAILS
-- Find the emails to an address, in any case of its letters.
SELECT e.id, e.batch_id FROM batches_email e
WHERE lower(e.address COLLATE "pg_c_utf8") = ANY(%(lowered)s::text[]) ORDER BY e.batch_id, e.row

-- name: FIND_REJECTED
-- Find the rejected rows that hold an address in any cell.
SELECT r.id, r.batch_id, r.raw FROM batches_rejectedrow r
WHERE lower(r.raw::text COLLATE "pg_c_utf8") LIKE ANY(%(likes)s::text[]) AND r.raw::text ~* %(pattern)s
ORDER BY r.batch_id, r.line

-- name: TEXT_COLUMNS
-- List the columns of all tables that hold text.
SELECT c.table_name::text, c.column_name::text, CASE c.data_type WHEN 'ARRAY' THEN 'text[]' ELSE c.data_type END,
       EXISTS (
         SELECT 1 FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
         WHERE i.indrelid = to_regclass(quote_ident(c.table_name)) AND i.indisunique AND a.attname = c.column_name)
FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE' AND c.is_generated = 'NEVER'
  AND (c.data_type IN ('text', 'character varying', 'json', 'jsonb') OR c.udt_name IN ('_text', '_varchar'))
ORDER BY c.table_name, c.ordinal_position

-- name: LOCK_LANES
-- Lock the lanes of a job, so that no cycle commits meanwhile, and say which are leased.
SELECT l.id, l.lease_until IS NOT NULL FROM batches_lane l WHERE l.job_id = %(job)s ORDER BY l.id FOR NO KEY UPDATE

-- name: END_PENDING
-- End pending emails of a live job as suppressed, and empty them: those that no lane can have claimed.
-- A retry is claimed under its row's lock. An untried row beyond handed_out_to_row needs the job's row, which is
-- locked here, and a row before it needs a leased lane. An email that an earlier job sent is sent.
-- SKIP LOCKED: a cycle locks the retries before its lane, and this transaction has locked the lanes. The caller repeats.
WITH unclaimed AS (
  SELECT e.id FROM batches_email e JOIN batches_emailjob j ON j.id = %(job)s
  WHERE e.id = ANY(%(emails)s::bigint[]) AND e.status = {pending}
    AND (e.next_attempt_at IS NOT NULL OR e.row > j.handed_out_to_row OR NOT %(is_leased)s)
  FOR UPDATE OF e SKIP LOCKED
)
UPDATE batches_email e
SET status = CASE WHEN {was_sent} THEN {sent} ELSE {suppressed} END, address = '', address_digest = NULL,
    fields = %(blank)s::jsonb, reply = %(reply)s, code = NULL, next_attempt_at = NULL, relay_id = NULL,
    completed_at = coalesce(e.sent_before_at, clock_timestamp())
FROM unclaimed WHERE e.id = unclaimed.id
RETURNING {was_sent}

-- name: EMPTY_UNTRIED
-- Empty the untried emails that a leased lane may claim, and leave their status to it: see Withholding.
UPDATE batches_email e SET address = '', address_digest = NULL, fields = %(blank)s::jsonb
WHERE e.id = ANY(%(emails)s::bigint[]) AND {is_untried} AND e.address <> ''
RETURNING e.row

-- name: LANES_NOW
-- Read when each leased lane of a job renewed its lease last, and whether it has one of these rows in flight.
SELECT l.id, l.heartbeat_at, l.claimed_rows && %(rows)s::int[]
FROM batches_lane l WHERE l.job_id = %(job)s AND l.lease_until IS NOT NULL

-- name: EMPTY_EMAILS
-- Remove address, merge fields and reply of emails. The status, the code and the times stay.
UPDATE batches_email e SET address = '', address_digest = NULL, fields = %(blank)s::jsonb, reply = ''
WHERE e.id = ANY(%(emails)s::bigint[])

-- name: EMPTY_ATTEMPTS
-- Remove the replies to the attempts at emails.
UPDATE batches_attempt SET reply = '' WHERE email_id = ANY(%(emails)s::bigint[]) AND reply <> ''

-- name: EMPTY_RETURNS
-- Remove what came back of emails, except that it did and why.
UPDATE batches_return SET text = '', domain = '', address_digest = NULL WHERE email_id = ANY(%(emails)s::bigint[])

-- name: PURGE_EMAILS
-- Remove address, merge fields and replies of some rows of an ended batch, with the replies to their attempts, and the
-- words of what came back. Its class and domain stay, because they are counted.
-- No index holds any of these columns, so PostgreSQL writes no index entry (docs/decisions/0014).
WITH emptied AS (
  UPDATE batches_email e SET address = '', address_digest = NULL, fields = %(blank)s::jsonb, reply = ''
  WHERE e.batch_id = %(batch)s AND e.row > %(after_row)s AND e.row <= %(end_row)s
    AND (e.address <> '' OR e.reply <> '')
  RETURNING e.id
), answered AS (
  UPDATE batches_attempt a SET reply = '' FROM emptied WHERE a.email_id = emptied.id AND a.reply <> ''
), returned AS (
  UPDATE batches_return r SET text = '', address_digest = NULL FROM emptied WHERE r.email_id = emptied.id
)
SELECT count(*) FROM emptied

-- name: NEXT_ROWS
-- Find the last of the next rows of a batch.
SELECT max(row) FROM (
  SELECT e.row FROM batches_email e WHERE e.batch_id = %(batch)s AND e.row > %(after_row)s ORDER BY e.row LIMIT %(rows)s
) AS next

-- name: PURGE_REJECTED
-- Remove the cells and the reasons of some rejected rows of a batch. Their number, lines and kinds stay.
WITH chosen AS (
  SELECT id FROM batches_rejectedrow
  WHERE batch_id = %(batch)s AND (raw <> '[]'::jsonb OR reason <> '') ORDER BY line, id LIMIT %(rows)s
)
UPDATE batches_rejectedrow r SET raw = '[]', reason = '' FROM chosen WHERE r.id = chosen.id

-- name: DELETE_SOME_EMAILS
-- Delete some emails of a draft that is being purged.
DELETE FROM batches_email WHERE id IN (
  SELECT id FROM batches_email WHERE batch_id = %(batch)s ORDER BY row LIMIT %(rows)s)

-- name: DELETE_SOME_REJECTED
-- Delete some rejected rows of a draft that is being purged.
DELETE FROM batches_rejectedrow WHERE id IN (
  SELECT id FROM batches_rejectedrow WHERE batch_id = %(batch)s ORDER BY line, id LIMIT %(rows)s)
