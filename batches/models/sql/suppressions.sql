-- The statements of the suppression list (docs/decisions/0033).

-- name: SUPPRESSIONS_AFTER
-- Read the key and the version of the list, and the checksums that were added after a version: in one snapshot.
-- No row: nobody was ever suppressed.
SELECT l.key, l.version, ARRAY(SELECT s.checksum FROM batches_suppression s WHERE s.version > %(after)s::bigint)
FROM batches_suppressionlist l WHERE l.id = 1

-- name: FIND_SUPPRESSED
-- Find which of these digests are on the list.
SELECT digest FROM batches_suppression WHERE digest = ANY(%(digests)s::bytea[])

-- name: SUPPRESS_ROWS
-- End rows of a list that was just imported as suppressed. No lane has the batch yet.
UPDATE batches_email e SET status = {suppressed}, reply = %(reply)s, completed_at = clock_timestamp()
WHERE e.batch_id = %(batch)s AND e.row = ANY(%(rows)s::int[]) AND {is_untried}
