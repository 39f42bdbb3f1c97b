-- The statements of intake: they write the rows of one import, within its transaction. ``%(name)s`` is a placeholder
-- of psycopg; the loader is batches/models/sql.

-- name: COPY_EMAILS
-- Write emails, as COPY text.
COPY batches_email (batch_id, row, address, address_digest, fields) FROM STDIN

-- name: COPY_EMAILS_WITH_LINES
-- Write emails of a list in which a line may make several, as COPY text.
COPY batches_email (batch_id, row, line, address, address_digest, fields) FROM STDIN

-- name: COPY_REJECTED
-- Write rejected rows, as COPY text.
COPY batches_rejectedrow (batch_id, line, kind, raw, reason) FROM STDIN

-- name: CREATE_POSSIBLE_DUPLICATES
-- Make the table of rows whose address may be in the list already. It ends with the transaction.
CREATE TEMPORARY TABLE intake_possible_duplicate
    (row integer, line integer, address text, digest bytea, fields jsonb, raw jsonb) ON COMMIT DROP

-- name: COPY_POSSIBLE_DUPLICATES
-- Write possible duplicates, as COPY text.
COPY intake_possible_duplicate (row, address, digest, fields, raw) FROM STDIN

-- name: COPY_POSSIBLE_DUPLICATES_WITH_LINES
-- Write possible duplicates of a list in which a line may make several emails, as COPY text.
COPY intake_possible_duplicate (row, line, address, digest, fields, raw) FROM STDIN

-- name: FORBID_NESTED_LOOPS
-- Keep the planner from comparing each possible duplicate with each email, a million times thousands.
-- No ANALYZE has counted the rows of this transaction. The planner therefore expects the table to be as small as it was
-- before the import.
SET LOCAL enable_nestloop = off

-- name: ALLOW_NESTED_LOOPS
-- End FORBID_NESTED_LOOPS.
SET LOCAL enable_nestloop TO DEFAULT

-- name: ranked
-- The possible duplicates, each with the row and the line of the first row that has its address.
-- One pass over the emails of the batch, against a small hash table. The collation is PostgreSQL's own, so that "the
-- same except for case" means the same on every machine (Unicode's simple case mapping).
candidate AS MATERIALIZED (
    SELECT row, coalesce(line, row) AS shown_line, line, address, digest, fields, raw,
           lower(address COLLATE "pg_c_utf8") AS key
    FROM intake_possible_duplicate
), known AS (
    SELECT candidate.key, min(email.row) AS row, min(coalesce(email.line, email.row)) AS shown_line,
           (array_agg(email.id ORDER BY email.row))[1] AS email_id,
           (array_agg(coalesce(jsonb_array_length(email.fields -> %(width)s::int), 1) ORDER BY email.row))[1] AS row_count
    FROM batches_email AS email
    JOIN (SELECT DISTINCT key FROM candidate) AS candidate ON candidate.key = lower(email.address COLLATE "pg_c_utf8")
    WHERE email.batch_id = %(batch)s
    GROUP BY candidate.key
), ranked AS (
    SELECT candidate.*, known.email_id, known.row_count,
           coalesce(known.row, min(candidate.row) OVER same) AS first_row,
           coalesce(known.shown_line, min(candidate.shown_line) OVER same) AS first_line
    FROM candidate LEFT JOIN known USING (key)
    WINDOW same AS (PARTITION BY candidate.key)
)

-- name: REJECT_REPEATED
-- Reject the added rows that an email of the batch has already, cell by cell: they are one row that was added twice.
-- An email may have them among its rows, in the list at %(width)s.
WITH held AS (
    SELECT lower(email.address COLLATE "pg_c_utf8") AS key, coalesce(email.line, email.row) AS line,
           jsonb_array_elements(coalesce(email.fields -> %(width)s::int, jsonb_build_array(email.fields))) AS fields
    FROM batches_email AS email
    WHERE email.batch_id = %(batch)s AND lower(email.address COLLATE "pg_c_utf8") IN (
        SELECT lower(address COLLATE "pg_c_utf8") FROM intake_possible_duplicate)
), first_held AS (
    SELECT key, fields, min(line) AS line FROM held GROUP BY key, fields
), repeated AS (
    DELETE FROM intake_possible_duplicate AS added USING first_held
    WHERE first_held.key = lower(added.address COLLATE "pg_c_utf8") AND first_held.fields = added.fields
    RETURNING coalesce(added.line, added.row) AS line, added.raw, first_held.line AS first_line
)
INSERT INTO batches_rejectedrow (batch_id, line, kind, raw, reason)
SELECT %(batch)s, line, %(kind)s, raw,
       format('The same row is already in line %%s. Change a cell of it if it is another row.', first_line)
FROM repeated ORDER BY line

-- name: RESOLVE_FIRST
-- Make each possible duplicate an email or a rejected duplicate: of the rows with one address the first wins.
WITH {ranked}, inserted AS (
    INSERT INTO batches_email (batch_id, row, line, address, address_digest, fields)
    SELECT %(batch)s, row, line, address, digest, fields FROM ranked WHERE row = first_row ORDER BY row
    RETURNING 1
), rejected AS (
    INSERT INTO batches_rejectedrow (batch_id, line, kind, raw, reason)
    SELECT %(batch)s, shown_line, %(kind)s, raw, format('The same address is already in line %%s.', first_line)
    FROM ranked WHERE row <> first_row ORDER BY row
    RETURNING 1
)
SELECT (SELECT count(*) FROM inserted), (SELECT count(*) FROM rejected), (SELECT count(*) FROM rejected)

-- name: RESOLVE_EACH
-- Make each possible duplicate an email, and count those that share their address with an earlier row.
WITH {ranked}, inserted AS (
    INSERT INTO batches_email (batch_id, row, line, address, address_digest, fields)
    SELECT %(batch)s, row, line, address, digest, fields FROM ranked ORDER BY row
    RETURNING 1
)
SELECT (SELECT count(*) FROM inserted), 0, (SELECT count(*) FROM ranked WHERE row <> first_row)

-- name: RESOLVE_TOGETHER
-- Put the rows with one address into one email: the first row's cells, and after them a list of the cells of all rows.
-- The list is the element after the email's own cells, at %(width)s. An email of one row has no such element.
-- The batch is locked or not yet visible, and each row is in one candidate: so it is in exactly one email.
WITH {ranked}, placed AS (
    SELECT ranked.*, row_number() OVER (PARTITION BY key ORDER BY row) + coalesce(row_count, 0) AS place FROM ranked
), merged AS (
    SELECT email_id, min(row) AS row, (array_agg(line ORDER BY row))[1] AS line,
           (array_agg(address ORDER BY row))[1] AS address, (array_agg(digest ORDER BY row))[1] AS digest,
           jsonb_agg(fields ORDER BY row) AS rows
    FROM placed WHERE place <= %(rows_max)s
    GROUP BY key, email_id
), inserted AS (
    INSERT INTO batches_email (batch_id, row, line, address, address_digest, fields)
    SELECT %(batch)s, row, line, address, digest,
           CASE jsonb_array_length(rows) WHEN 1 THEN rows -> 0 ELSE (rows -> 0) || jsonb_build_array(rows) END
    FROM merged WHERE email_id IS NULL ORDER BY row
    RETURNING 1
), extended AS (
    UPDATE batches_email AS email
    SET fields = (email.fields - %(width)s::int) || jsonb_build_array(
        coalesce(email.fields -> %(width)s::int, jsonb_build_array(email.fields)) || merged.rows)
    FROM merged
    WHERE email.id = merged.email_id
        AND email.id = ANY (ARRAY(SELECT email_id FROM merged))  -- so that the primary key finds the few of a million
    RETURNING 1
), rejected AS (
    INSERT INTO batches_rejectedrow (batch_id, line, kind, raw, reason)
    SELECT %(batch)s, shown_line, %(kind)s, raw,
           format('The mail to this address already has %%s rows, the first in line %%s. Put the row into another list.',
                  %(rows_max)s::int, first_line)
    FROM placed WHERE place > %(rows_max)s ORDER BY row
    RETURNING 1
)
SELECT (SELECT count(*) FROM inserted), (SELECT count(*) FROM rejected),
       (SELECT count(*) FROM placed WHERE place BETWEEN 2 AND %(rows_max)s)

-- name: COUNT_ODD_RESOLVED
-- Count the cells of the possible duplicates that became emails and are blank, by their place among the merge fields.
-- At place -1, count the addresses beyond ASCII.
WITH resolved AS MATERIALIZED (
    SELECT address, fields FROM batches_email
    WHERE batch_id = %(batch)s AND row = ANY(ARRAY(SELECT row FROM intake_possible_duplicate))
)
SELECT (cell.place - 1)::int, count(*)
FROM resolved CROSS JOIN LATERAL jsonb_array_elements(fields) WITH ORDINALITY AS cell (value, place)
WHERE cell.value = '""' GROUP BY cell.place
UNION ALL
SELECT -1, count(*) FROM resolved WHERE octet_length(address) > length(address)

-- name: DROP_POSSIBLE_DUPLICATES
-- Drop the table before the transaction ends, because the next import of the same transaction makes it again.
DROP TABLE intake_possible_duplicate

-- name: members
-- The active users of a group who have an address, and whether INSERT_GROUP can take each without a further check.
SELECT person.id, person.email AS address,
       jsonb_build_array(person.first_name, person.last_name, person.username,
                         trim(person.first_name || ' ' || person.last_name)) AS fields,
       person.email ~ %(plain)s AND length(person.email) <= %(plain_length)s
           AND (person.first_name || person.last_name || person.username) !~ '[\x01-\x1f\x7f-\x9f]' AS is_plain
FROM auth_user AS person
JOIN auth_user_groups AS membership ON membership.user_id = person.id
WHERE membership.group_id = %(group)s AND person.is_active AND person.email <> ''

-- name: plain_digest
-- The digest of a plain address, which is ASCII, as suppressions.make_digest makes it: the first half of an HMAC-SHA-256
-- (RFC 2104). The two values are the key, padded to a block of 64 octets and combined with each of its two constants.
substr(sha256(%(outer_key)s::bytea || sha256(%(inner_key)s::bytea ||
       convert_to(lower(address COLLATE "pg_c_utf8"), 'UTF8'))), 1, 16)

-- name: INSERT_GROUP
-- Make the members with a plain address emails, oldest user first: of the users with one address the first wins.
WITH member AS (
    SELECT address, fields, row_number() OVER (ORDER BY id) AS row,
           min(id) OVER (PARTITION BY lower(address COLLATE "pg_c_utf8")) = id AS is_first
    FROM ({members}) AS person WHERE is_plain
), inserted AS (
    INSERT INTO batches_email (batch_id, row, address, address_digest, fields)
    SELECT %(batch)s, row, address, {plain_digest}, fields FROM member WHERE is_first ORDER BY row
    RETURNING 1
), rejected AS (
    INSERT INTO batches_rejectedrow (batch_id, line, kind, raw, reason)
    SELECT %(batch)s, row, %(kind)s, jsonb_build_array(address) || fields, 'Another user of the group has this address.'
    FROM member WHERE NOT is_first ORDER BY row
    RETURNING 1
)
SELECT (SELECT count(*) FROM inserted), (SELECT count(*) FROM rejected), (SELECT count(*) FROM rejected)

-- name: GROUP_AS_POSSIBLE_DUPLICATES
-- Make the members with a plain address possible duplicates, oldest user first.
INSERT INTO intake_possible_duplicate (row, address, digest, fields, raw)
SELECT row_number() OVER (ORDER BY id), address, {plain_digest}, fields, jsonb_build_array(address) || fields
FROM ({members}) AS person WHERE is_plain

-- name: OTHER_MEMBERS
-- Read the members that INSERT_GROUP left out, with their cells, oldest user first.
SELECT address, fields->>0, fields->>1, fields->>2, fields->>3
FROM ({members}) AS person WHERE NOT is_plain ORDER BY id

-- name: KNOWN_EMAIL_COUNT
-- Read how many emails the planner takes the table to have.
SELECT reltuples::bigint FROM pg_class WHERE oid = 'batches_email'::regclass

-- name: ANALYZE_EMAILS
-- Collect the statistics of the emails.
ANALYZE (SKIP_LOCKED) batches_email

-- name: COPY_UPLOAD
-- Write the uploaded file of a draft in chunks.
COPY batches_uploadchunk (batch_id, number, data) FROM STDIN BINARY

-- name: DELETE_EMAILS
-- Delete the emails of a draft. A draft was never sent, so no attempt refers to them.
DELETE FROM batches_email WHERE batch_id = %(batch)s

-- name: DELETE_REJECTED
-- Delete the rejected rows of a draft.
DELETE FROM batches_rejectedrow WHERE batch_id = %(batch)s

-- name: DELETE_CORRECTED
-- Delete the rejected rows that added rows correct, and count the duplicates among them.
-- The added rows have higher lines: their own rejects stay.
WITH deleted AS (
    DELETE FROM batches_rejectedrow WHERE batch_id = %(batch)s AND line = ANY(%(lines)s) AND line <= %(up_to)s
    RETURNING kind
)
SELECT count(*) FILTER (WHERE kind = %(duplicate)s) FROM deleted

-- name: DUPLICATE_EMAILS
-- Write the recipients of one batch as untried emails of another. Erased people have no address, and are left out.
INSERT INTO batches_email (batch_id, row, line, address, address_digest, fields)
SELECT %(copy)s, row, line, address, address_digest, fields
FROM batches_email WHERE batch_id = %(batch)s AND address <> '' ORDER BY row
