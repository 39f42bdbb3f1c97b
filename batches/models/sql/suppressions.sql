-- The statements of the suppression list (docs/decisions/0033).
-- The alias s is batches_suppression. The placeholder topic is the job's topic, and null for service mail without one.

-- name: in_force
-- The suppression s keeps mail of the topic away now. Who has unsubscribed still gets service mail.
(s.ends_at IS NULL OR s.ends_at > statement_timestamp())
  AND (s.topic_id IS NULL OR s.topic_id = coalesce(%(topic)s::bigint, {service_topic}))
  AND (s.reason <> {unsubscribed_reason}
       OR (SELECT kind FROM batches_topic WHERE id = %(topic)s::bigint) = {news_topic_kind})

-- name: service_topic
-- The topic of mail that names none.
(SELECT id FROM batches_topic WHERE key = {service_topic_key})

-- name: applying
-- The digests that get no mail of the topic, each with one reason: the oldest.
(SELECT DISTINCT ON (s.digest) s.digest, s.reason FROM batches_suppression s WHERE {in_force} ORDER BY s.digest, s.id)

-- name: SUPPRESSIONS_AFTER
-- Read the key and the version of the list, and the digests that were added after a version: in one snapshot.
-- No row: nobody was ever suppressed. No more digests are read than a lane keeps, and one.
SELECT l.key, l.version, ARRAY(
  SELECT s.digest FROM batches_suppression s WHERE s.version > %(after)s::bigint LIMIT %(limit)s::int)
FROM batches_suppressionlist l WHERE l.id = 1

-- name: FIND_SUPPRESSED
-- Find which of these digests get no mail of the topic, each with one reason.
SELECT DISTINCT ON (s.digest) s.digest, s.reason FROM batches_suppression s
WHERE s.digest = ANY(%(digests)s::bytea[]) AND {in_force} ORDER BY s.digest, s.id

-- name: ADD_SUPPRESSIONS
-- Add digests to the list, or prolong those that would end earlier. The caller has locked the row of the list.
INSERT INTO batches_suppression AS s (digest, topic_id, reason, source, version, ends_at)
SELECT added.digest, %(topic)s::bigint, %(reason)s, %(source)s, %(version)s, %(ends_at)s::timestamptz
FROM unnest(%(digests)s::bytea[]) WITH ORDINALITY AS added (digest, place) ORDER BY added.place
ON CONFLICT (digest, topic_id, reason) DO UPDATE
SET source = excluded.source, version = excluded.version, ends_at = excluded.ends_at,
    created_at = statement_timestamp()
WHERE s.ends_at < coalesce(excluded.ends_at, 'infinity')

-- name: FORBID_NESTED_LOOPS
-- Keep the planner from reading the batch once for each suppression. The statistics of a new batch are always old.
SET LOCAL enable_nestloop = off

-- name: ALLOW_NESTED_LOOPS
-- End FORBID_NESTED_LOOPS.
SET LOCAL enable_nestloop TO DEFAULT

-- name: COUNT_SUPPRESSED
-- Count the emails of a batch with some statuses that get no mail of the topic, by reason.
SELECT a.reason, count(*) FROM batches_email e JOIN {applying} a ON a.digest = e.address_digest
WHERE e.batch_id = %(batch)s AND e.status = ANY(%(statuses)s) GROUP BY a.reason ORDER BY count(*) DESC, a.reason

-- name: SUPPRESS_EMAILS
-- End the untried emails of a batch as suppressed that get no mail of the topic. No lane has the batch yet.
UPDATE batches_email e SET status = {suppressed}, reply = %(replies)s::jsonb ->> a.reason,
                           completed_at = clock_timestamp()
FROM {applying} a
WHERE e.batch_id = %(batch)s AND e.address_digest = a.digest AND {is_untried} AND NOT {was_sent}

-- name: LEFT_OUT
-- Count the emails of a batch that were suppressed or cancelled, by status and reply, with the first row of each group
-- and some rows of the suppressed. Reads the whole batch.
SELECT e.status, e.reply, count(*), min(e.row),
       (array_agg(e.row) FILTER (WHERE e.status = {suppressed}))[1:%(rows_max)s]
FROM batches_email e
WHERE e.batch_id = %(batch)s AND e.status IN ({suppressed}, {cancelled}) AND NOT {was_sent}
GROUP BY e.status, e.reply

-- name: HAS_UNKNOWN_DIGEST
-- Say whether an email of a batch has an address without a digest, because it was written by an earlier version.
SELECT EXISTS (SELECT FROM batches_email e
               WHERE e.batch_id = %(batch)s AND e.address_digest IS NULL AND e.address <> '')
