-- The statements of the directory. ``%(name)s`` is a placeholder of psycopg; the loader is batches/models/sql.

-- name: LOCK_LISTING
-- Wait until nobody else changes what the search knows: one process at a time lists people or removes them.
SELECT pg_advisory_xact_lock(%(lock)s)

-- name: ADD_NAMES
-- Add the names that people whom the search knows have in this list.
UPDATE batches_person p SET words = n.names || p.words
FROM unnest(%(people)s::bytea[], %(names)s::text[], %(addresses)s::text[]) AS n(digest, names, address)
WHERE p.digest = n.digest AND p.owner_id = %(owner)s AND n.names <> ''
  AND position(n.names IN p.words) = 0 AND length(p.words) + length(n.names) <= %(chars_max)s

-- name: ADD_PEOPLE
-- Add the people whom the search does not know in the batches of an owner. Nobody else adds any: see LOCK_LISTING.
INSERT INTO batches_person (owner_id, digest, words)
SELECT %(owner)s, n.digest, n.names || n.address
FROM unnest(%(people)s::bytea[], %(names)s::text[], %(addresses)s::text[]) WITH ORDINALITY AS n(digest, names, address, place)
WHERE NOT EXISTS (SELECT FROM batches_person p WHERE p.digest = n.digest AND p.owner_id = %(owner)s)
ORDER BY n.place

-- name: ADD_EMAILS
-- Note which rows of a batch are to whom.
INSERT INTO batches_personemail (person_id, batch_id, row)
SELECT p.id, %(batch)s, n.row
FROM unnest(%(digests)s::bytea[], %(rows)s::int[]) AS n(digest, row)
JOIN batches_person p ON p.digest = n.digest AND p.owner_id = %(owner)s
ON CONFLICT DO NOTHING

-- name: SET_DIGESTS
-- Give emails of an earlier version of the program the digests that the import stores now.
UPDATE batches_email e SET address_digest = n.digest
FROM unnest(%(digests)s::bytea[], %(rows)s::int[]) AS n(digest, row)
WHERE e.batch_id = %(batch)s AND e.row = n.row AND e.address_digest IS NULL AND e.address <> ''

-- name: REMOVE_ROWS
-- Forget to whom some rows of a batch were, before their addresses are removed. Answers the people.
WITH removed AS (
  DELETE FROM batches_personemail l USING batches_email e, batches_person p
  WHERE e.batch_id = %(batch)s AND e.row > %(after_row)s AND e.row <= %(end_row)s AND p.digest = e.address_digest
    AND l.person_id = p.id AND l.batch_id = e.batch_id AND l.row = e.row
  RETURNING l.person_id
)
SELECT DISTINCT person_id FROM removed

-- name: REMOVE_BATCH
-- Forget to whom the rows of deleted batches were. Answers the people.
WITH removed AS (DELETE FROM batches_personemail WHERE batch_id = ANY(%(batches)s::bigint[]) RETURNING person_id)
SELECT DISTINCT person_id FROM removed

-- name: REMOVE_PEOPLE_WITHOUT_EMAIL
-- Remove those of some people to whom the search knows no email any more.
DELETE FROM batches_person p WHERE p.id = ANY(%(people)s::bigint[])
  AND NOT EXISTS (SELECT FROM batches_personemail l WHERE l.person_id = p.id)

-- name: REMOVE_PERSON
-- Remove an address from the search, for every owner.
WITH people AS (DELETE FROM batches_person WHERE digest = %(digest)s RETURNING id)
DELETE FROM batches_personemail l USING people WHERE l.person_id = people.id

-- name: NEWEST_EMAILS
-- Read the newest emails to some people, to make their words again.
SELECT p.id, p.words, e.address, e.fields, b.merge_fields
FROM batches_person p
CROSS JOIN LATERAL (
  SELECT l.batch_id, l.row FROM batches_personemail l WHERE l.person_id = p.id
  ORDER BY l.batch_id DESC, l.row DESC LIMIT %(emails_max)s) AS l
JOIN batches_email e ON e.batch_id = l.batch_id AND e.row = l.row
JOIN batches_batch b ON b.id = l.batch_id
WHERE p.id = ANY(%(people)s::bigint[]) AND e.address <> ''
ORDER BY p.id, l.batch_id, l.row

-- name: SET_WORDS
-- Change the words of people.
UPDATE batches_person p SET words = n.words
FROM unnest(%(people)s::bigint[], %(words)s::text[]) AS n(id, words) WHERE p.id = n.id

-- name: PREPARE_SEARCH
-- Have the planner take the index of the search keys, and nothing that reads row after row, until the transaction ends.
-- It can't know how many people have a key, and a wrong guess reads the table. In one process, with room for the bits
-- of a million people.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_indexscan', 'off', true),
       set_config('max_parallel_workers_per_gather', '0', true), set_config('work_mem', '32MB', true)

-- name: END_SEARCH
-- Let the planner choose again.
SELECT set_config(name, reset_val, true) FROM pg_settings
WHERE name IN ('enable_seqscan', 'enable_indexscan', 'max_parallel_workers_per_gather', 'work_mem')

-- name: NEWEST_PERSON
-- Read the highest id of a person.
SELECT coalesce(max(id), 0) FROM batches_person

-- name: TOTALS
-- Count the emails to some people, and find the newest. An owner sees the emails of the own batches alone.
SELECT p.id, count(*), (max(ARRAY[l.batch_id, l.row::bigint]))[1], (max(ARRAY[l.batch_id, l.row::bigint]))[2]
FROM batches_person p
JOIN batches_person twin ON twin.digest = p.digest AND (%(owner)s::int IS NULL OR twin.owner_id = %(owner)s)
JOIN batches_personemail l ON l.person_id = twin.id
WHERE p.id = ANY(%(people)s::bigint[])
GROUP BY p.id

-- name: ROW_OF_ADDRESS
-- Find the first row of a batch that is to an address.
SELECT min(l.row) FROM batches_person p JOIN batches_personemail l ON l.person_id = p.id
WHERE p.digest = %(digest)s AND p.owner_id = %(owner)s AND l.batch_id = %(batch)s

-- name: PLACES
-- Find the emails to an address, the newest first.
SELECT l.batch_id, l.row
FROM batches_person p JOIN batches_personemail l ON l.person_id = p.id
WHERE p.digest = %(digest)s AND (%(owner)s::int IS NULL OR p.owner_id = %(owner)s)
  AND (l.batch_id, l.row) < (%(before_batch)s, %(before_row)s)
ORDER BY l.batch_id DESC, l.row DESC LIMIT %(size)s
