-- The statements of the send path, in the order in which a lane needs them.

-- name: ACQUIRE_LANE
-- Acquire a free lane of a job that may run, note that the job runs, and read all that sending needs.
-- No row: another worker has acquired the lane, the job is not live, or the job waits for its relay. A lane that is
-- running does not stop because another lane reported a relay error: it finds out by itself.
-- The locks are taken in the order job, batch, lane, as at the end of a job, so that the two cannot deadlock. The
-- condition on `moved` makes that order certain: without it PostgreSQL may update the lane first.
WITH begun AS (
  UPDATE batches_emailjob j SET status = {processing_job}, started_at = clock_timestamp()
  FROM batches_lane l
  WHERE l.id = %(lane)s AND j.id = l.job_id AND l.lease_until IS NULL AND j.status = {queued_job}
    AND coalesce(j.relay_retry_at <= clock_timestamp(), true)
  RETURNING j.batch_id
), moved AS (
  UPDATE batches_batch b SET status = {processing_batch} FROM begun WHERE b.id = begun.batch_id RETURNING b.id
)
UPDATE batches_lane l
SET token = l.token + 1, worker = %(worker)s, heartbeat_at = clock_timestamp(), rate_per_second = 0,
    waits_until = NULL, lease_until = clock_timestamp() + %(lease_seconds)s * interval '1 second'
FROM batches_emailjob j JOIN batches_batch b ON b.id = j.batch_id LEFT JOIN batches_topic t ON t.id = j.topic_id
WHERE l.id = %(lane)s AND j.id = l.job_id AND l.lease_until IS NULL AND (SELECT count(*) FROM moved) IS NOT NULL
  AND j.status IN ({queued_job}, {processing_job}) AND coalesce(j.relay_retry_at <= clock_timestamp(), true)
RETURNING l.id, l.token, l.range_after_row, l.range_end_row,
          l.sent_count, l.failed_count, l.unknown_count, l.retried_count, l.suppressed_count,
          j.id, j.kind = {all_kind}, j.priority, j.subject, j.html, j.text, j.from_email, j.reply_to, j.sender_id,
          j.accepted_refusal,
          t.key, t.kind, j.topic_footer, (SELECT s.key FROM batches_suppressionlist s WHERE s.id = 1),
          b.id, b.merge_fields, coalesce(b.columns ->> b.address_index::int, ''), j.suppression_version,
          j.names_emails, j.topic_id

-- name: TAKE_ROW_RANGE
-- Hand the list's next row range to a lane that has used up its own.
-- Nulls: no untried row is left, or the lane is fenced. No row: the job is not to be sent, or its row is locked. A lane
-- never queues for that lock, because its emails in flight would wait with it.
-- A row range is the lane's share of the rows that are left. So the last ranges are short, and all lanes end together.
-- If no untried row is left, handed_out_to_row moves to the end of the list, so that no lane searches the rest again.
-- While the job has a canary, the list ends with it: least() leaves out a null.
WITH job AS (
  SELECT j.id, j.batch_id, j.handed_out_to_row, j.canary_to_row,
         (SELECT count(*) FROM batches_lane WHERE job_id = j.id) AS lane_count
  FROM batches_emailjob j
  WHERE j.id = %(job)s AND j.status = {processing_job}
  FOR NO KEY UPDATE SKIP LOCKED
), last AS (
  SELECT least(e.row, (SELECT canary_to_row FROM job)) AS row
  FROM batches_email e WHERE e.batch_id = %(batch)s ORDER BY e.row DESC LIMIT 1
), row_range AS (
  SELECT first.row - 1 AS after_row,
         least(j.canary_to_row, first.row - 1
               + least(%(rows_max)s, greatest(%(window)s, (last.row - first.row) / j.lane_count))) AS end_row
  FROM job j CROSS JOIN last CROSS JOIN LATERAL {first_untried} first
  WHERE first.row <= last.row
), taken AS (
  UPDATE batches_lane l
  SET range_after_row = row_range.after_row, range_end_row = row_range.end_row
  FROM row_range
  WHERE l.id = %(lane)s AND l.token = %(token)s AND l.lease_until IS NOT NULL
  RETURNING l.range_after_row, l.range_end_row
), handed_out AS (
  UPDATE batches_emailjob j SET handed_out_to_row = coalesce(taken.range_end_row, last.row)
  FROM job CROSS JOIN last LEFT JOIN taken ON true
  WHERE j.id = job.id AND job.handed_out_to_row < coalesce(taken.range_end_row, last.row)
    AND (taken.range_end_row IS NOT NULL OR NOT EXISTS (SELECT FROM row_range))
)
SELECT taken.range_after_row, taken.range_end_row FROM job LEFT JOIN taken ON true

-- name: LEDGER_CYCLE
-- Renew the lease, record decisions with their Attempts, and claim more emails: one round trip and one commit.
--
-- The answer: no row if the lane is fenced. Otherwise one row for each claimed email, or one row whose id is null if no
-- email was claimed. Each begins with the job's status and with the row after which the lane's next claim looks.
-- A decision with an empty outcome requeues the email, or ends it as suppressed, without counting the attempt.
-- The last column is the version of the suppression list. If it is newer than the holder's, the holder compares the
-- claimed emails with what was added, before it sends any (docs/decisions/0033).
--
-- The order of the parts:
--
--   asked                      the job's status, and how many emails may be claimed
--   ├─ due                     retries that are due: locked, and skipped if locked by another
--   └─ untried                 the next rows of the lane's row range, as many as `due` leaves; only read
--        └─ lease              the lane's row: lease, counters, claimed rows; empty if the lane is fenced
--             ├─ recorded      the emails with a decision
--             │    └─ attempted   their Attempts
--             └─ retried       the emails of `due`: sending
--   the answer is asked × lease, with the emails of `retried` and `untried`
--
-- All parts see one snapshot. They touch different emails (`recorded` those in flight in this lane, `due` those in
-- flight nowhere, `untried` only reads), so no part needs to see what another wrote.
--
-- Every write depends on `lease`. If the lane is fenced, `lease` is empty, and nothing is written or claimed; only the
-- row locks of `due` were taken for nothing. If the sweep has locked the lane's row, the UPDATE waits and then reads
-- the token again (READ COMMITTED, PostgreSQL 18, section 13.2.1), so a lane that was reaped meanwhile is fenced.
--
-- A first attempt is claimed by the lane's row alone. No other lane has that row range, so `untried` needs no lock, and
-- the email is first written with its decision (docs/decisions/0015). That UPDATE changes no indexed column, so
-- PostgreSQL writes no index entry (docs/decisions/0014). Only a retry has a next_attempt_at and an entry in
-- email_retry. `due` begins after a cursor: a scan from the start would walk the entries of all earlier claims, which
-- VACUUM cannot remove while a long transaction runs elsewhere.
--
-- `due` is MATERIALIZED so that LIMIT and SKIP LOCKED apply once, and not once for each joined row. It names an email
-- by its ctid, which cannot change while the row is locked, and which saves an index lookup. If another transaction
-- changed the email between the snapshot and the lock, the ctid is another one: this cycle does not claim the email,
-- and the next look from the start does.
--
-- `attempted` has no ON CONFLICT, which would write each row to the WAL twice. No conflict is possible: an attempt's
-- number is the value to which `recorded` or the claim raised `attempts`, and `recorded` ends each claim once.
--
-- An email that ended in doubt, and is pending again, is pinned to the relay that may have its message. A later attempt
-- that is deferred or requeued leaves the doubt, so the pin stays until the email's end.
--
-- now() and not clock_timestamp(): PostgreSQL searches an index only for a value that is stable within the statement.
-- coalesce(..., 0) around each limit: a LIMIT of null is no limit.
WITH asked AS (
  SELECT j.status, CASE WHEN j.status = {processing_job} THEN %(limit)s ELSE 0 END AS places
  FROM batches_emailjob j WHERE j.id = %(job)s
), due AS MATERIALIZED (
  SELECT e.ctid, e.row
  FROM batches_email e
  WHERE e.batch_id = %(batch)s AND e.next_attempt_at <= now() AND e.status = {pending}
    AND (e.next_attempt_at, e.id) > (%(after_at)s::timestamptz, %(after_id)s::bigint)
    AND (e.relay_id IS NULL OR e.relay_id = %(relay_id)s::bigint)
  ORDER BY e.next_attempt_at, e.id
  LIMIT coalesce((SELECT places FROM asked), 0)
  FOR UPDATE OF e SKIP LOCKED
), untried AS MATERIALIZED (
  SELECT e.id, e.row, e.address, e.fields::text AS fields, e.attempts + 1 AS attempts, {digest_of_news} AS digest
  FROM batches_email e
  WHERE e.batch_id = %(batch)s AND e.row > %(after_row)s AND e.row <= %(end_row)s AND {is_untried}
  ORDER BY e.row
  LIMIT coalesce((SELECT places FROM asked), 0) - (SELECT count(*) FROM due)
), decided AS (
  SELECT * FROM unnest(
    %(ids)s::bigint[], %(statuses)s::text[], %(outcomes)s::text[], %(codes)s::smallint[], %(replies)s::text[],
    %(delays)s::float8[]
  ) AS d(email_id, status, outcome, code, reply, delay_seconds)
), lease AS (
  UPDATE batches_lane l
  SET {renewed}, {counts}, relay_id = %(relay_id)s::bigint,
      range_after_row = CASE
        WHEN (SELECT count(*) FROM untried) < (SELECT places FROM asked) - (SELECT count(*) FROM due) THEN %(end_row)s
        ELSE coalesce((SELECT max(row) FROM untried), %(after_row)s) END,
      claimed_rows = %(in_flight_rows)s::int[] || ARRAY(SELECT row FROM due UNION ALL SELECT row FROM untried)
  WHERE l.id = %(lane)s AND l.token = %(token)s AND l.lease_until IS NOT NULL
  RETURNING l.id, l.range_after_row
), recorded AS (
  UPDATE batches_email e
  SET {decision},
      relay_id = CASE WHEN d.status <> {pending} THEN NULL
                 WHEN d.outcome = {unknown_outcome} THEN %(relay_id)s::bigint ELSE e.relay_id END
  FROM decided d CROSS JOIN lease l
  WHERE e.id = d.email_id AND {is_in_flight}
  RETURNING e.id, e.attempts, d.outcome, d.code, d.reply
), attempted AS (
  INSERT INTO batches_attempt (email_id, lane_id, number, outcome, code, reply, relay, at)
  SELECT id, %(lane)s, attempts, outcome, nullif(code, 0), reply, %(relay)s, clock_timestamp()
  FROM recorded WHERE outcome <> ''
), retried AS (
  UPDATE batches_email e
  SET status = {sending}, lane_id = l.id, attempts = e.attempts + 1
  FROM due CROSS JOIN lease l
  WHERE e.ctid = due.ctid
  RETURNING e.id, e.row, e.address, e.fields::text AS fields, e.attempts, {digest_of_news} AS digest, e.next_attempt_at
)
SELECT asked.status, lease.range_after_row, c.next_attempt_at, c.id, c.row, c.address, c.fields, c.attempts, c.digest,
       {suppression_version}
FROM lease CROSS JOIN asked LEFT JOIN (
  SELECT next_attempt_at, id, row, address, fields, attempts, digest FROM retried
  UNION ALL
  SELECT NULL, id, row, address, fields, attempts, digest FROM untried
) c ON true

-- name: IN_FLIGHT_OF_LANE
-- Find the emails in flight in a lane, after the reply to a commit was lost and before the next cycle.
SELECT e.id, e.row, e.address, e.fields::text, e.attempts_made, e.carrier_id FROM {in_flight_of_lane} e

-- name: RENEW_LANE
-- Renew a lease under a new token, and write nothing else.
-- No row: the holder is fenced.
-- The write is small, like SUSPECT_LANES: a full disk may have room for it and not for a cycle.
-- It waits until no other statement has locked the lane's row, which a cycle does while it writes. A statement that the
-- lost connection still delivers later names the old token, so it is fenced.
-- Both tokens are accepted, because the reply to an earlier renewal may have been lost.
UPDATE batches_lane
SET lease_until = clock_timestamp() + %(lease_seconds)s * interval '1 second', heartbeat_at = clock_timestamp(),
    token = %(next_token)s
WHERE id = %(lane)s AND token IN (%(token)s, %(next_token)s) AND lease_until IS NOT NULL
RETURNING range_after_row, range_end_row

-- name: RELEASE_LANE
-- Release a lane that has nothing in flight. Its next holder continues with its row range.
-- The token rises here too. If the reply is lost, RENEW_LANE must not take the next holder's lease for ours.
-- A lane that found no space, or only retries of a paused relay, waits: the sweep does not enqueue it every two seconds.
WITH released AS (
  UPDATE batches_lane
  SET lease_until = NULL, rate_per_second = 0, token = token + 1,
      waits_until = CASE WHEN %(wait_seconds)s > 0 THEN clock_timestamp() + %(wait_seconds)s * interval '1 second' END
  WHERE id = %(lane)s AND token = %(token)s
  RETURNING id
)
DELETE FROM batches_reservation r USING released WHERE r.lane_id = released.id

-- name: COUNT_LEASED_LANES
-- Count the leases of live jobs that have not run out. A lane whose lease has run out is still leased, and is not
-- counted.
SELECT count(*)
FROM batches_emailjob j JOIN batches_lane l ON l.job_id = j.id
WHERE j.completed_at IS NULL AND l.lease_until > clock_timestamp()

-- name: REPORT_RELAY_ERROR
-- Note that the relay accepts no mail now. Each failure in a row doubles the wait, up to the cap.
-- Lanes that fail while another lane's wait still runs do not double it again.
-- A relay that only has too many connections still accepts mail if other lanes of the job are sending. Then nothing is
-- noted, because those lanes must not be stopped. A paused job keeps the sentence that says why it is paused.
-- No more than 20 doublings are computed: power() of more would overflow.
UPDATE batches_emailjob
SET last_error = %(error)s,
    relay_failure_count = CASE WHEN relay_retry_at > clock_timestamp() THEN relay_failure_count
                               ELSE relay_failure_count + 1 END,
    relay_retry_at = CASE WHEN relay_retry_at > clock_timestamp() THEN relay_retry_at
      ELSE clock_timestamp() + interval '1 second'
        * least(%(cap_seconds)s, %(base_seconds)s * power(2, least(relay_failure_count, 20))) END
WHERE id = %(job)s AND completed_at IS NULL AND status <> {paused_job}
  AND NOT (%(has_too_many_connections)s AND EXISTS (
    SELECT FROM batches_lane l
    WHERE l.job_id = %(job)s AND l.id <> %(lane)s AND l.lease_until > clock_timestamp() AND l.rate_per_second > 0))
