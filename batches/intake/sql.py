"""The SQL of intake, each statement with its purpose. ``%s`` are psycopg's placeholders."""

COPY_EMAILS = "COPY batches_email (batch_id, row, address, fields) FROM STDIN"

COPY_REJECTED = "COPY batches_rejectedrow (batch_id, line, kind, raw, reason) FROM STDIN"

CREATE_POSSIBLE_DUPLICATES = """
-- Rows whose address may have come before; gone with the transaction.
CREATE TEMPORARY TABLE intake_possible_duplicate (row integer, address text, fields jsonb, raw jsonb) ON COMMIT DROP
"""

COPY_POSSIBLE_DUPLICATES = "COPY intake_possible_duplicate (row, address, fields, raw) FROM STDIN"

# Autovacuum has not seen the rows of this transaction: by the statistics of a table that was small it would
# compare each candidate with each email, a million times thousands.
NO_NESTED_LOOPS = "SET LOCAL enable_nestloop = off"
ANY_JOINS = "SET LOCAL enable_nestloop TO DEFAULT"

RESOLVE_POSSIBLE_DUPLICATES = """
-- Each candidate becomes an email or a rejected duplicate: of the rows with one address the first wins.
-- One pass over the batch's emails, against a small hash table. The collation is PostgreSQL's own, so that
-- "same but for case" means the same on every machine (Unicode's simple mapping).
WITH candidate AS MATERIALIZED (
    SELECT row, address, fields, raw, lower(address COLLATE "pg_c_utf8") AS key FROM intake_possible_duplicate
), known AS (
    SELECT candidate.key, min(email.row) AS row
    FROM batches_email AS email
    JOIN (SELECT DISTINCT key FROM candidate) AS candidate ON candidate.key = lower(email.address COLLATE "pg_c_utf8")
    WHERE email.batch_id = %(batch)s
    GROUP BY candidate.key
), ranked AS (
    SELECT candidate.*, coalesce(known.row, min(candidate.row) OVER (PARTITION BY candidate.key)) AS first_row
    FROM candidate LEFT JOIN known USING (key)
), inserted AS (
    INSERT INTO batches_email (batch_id, row, address, fields)
    SELECT %(batch)s, row, address, fields FROM ranked WHERE row = first_row ORDER BY row
    RETURNING 1
), rejected AS (
    INSERT INTO batches_rejectedrow (batch_id, line, kind, raw, reason)
    SELECT %(batch)s, row, %(kind)s, raw, format('The address came before, in line %%s.', first_row)
    FROM ranked WHERE row <> first_row ORDER BY row
    RETURNING 1
)
SELECT (SELECT count(*) FROM inserted), (SELECT count(*) FROM rejected)
"""

DROP_POSSIBLE_DUPLICATES = "DROP TABLE intake_possible_duplicate"

_MEMBERS = """
    SELECT person.id, person.email AS address,
           jsonb_build_array(person.first_name, person.last_name, person.username,
                             trim(person.first_name || ' ' || person.last_name)) AS fields,
           person.email ~ %(plain)s AND length(person.email) <= %(plain_length)s
               AND (person.first_name || person.last_name || person.username) !~ '[\\x01-\\x1f\\x7f-\\x9f]' AS is_plain
    FROM auth_user AS person
    JOIN auth_user_groups AS membership ON membership.user_id = person.id
    WHERE membership.group_id = %(group)s AND person.is_active AND person.email <> ''
"""

INSERT_GROUP = f"""
-- A group's active users with a plain address become emails, by age; of one address the first user wins.
WITH member AS (
    SELECT address, fields, row_number() OVER (ORDER BY id) AS row,
           min(id) OVER (PARTITION BY lower(address COLLATE "pg_c_utf8")) = id AS is_first
    FROM ({_MEMBERS}) AS person WHERE is_plain
), inserted AS (
    INSERT INTO batches_email (batch_id, row, address, fields)
    SELECT %(batch)s, row, address, fields FROM member WHERE is_first ORDER BY row
    RETURNING 1
), rejected AS (
    INSERT INTO batches_rejectedrow (batch_id, line, kind, raw, reason)
    SELECT %(batch)s, row, %(kind)s, jsonb_build_array(address) || fields, 'Another user of the group has this address.'
    FROM member WHERE NOT is_first ORDER BY row
    RETURNING 1
)
SELECT (SELECT count(*) FROM inserted), (SELECT count(*) FROM rejected)
"""  # noqa: S608  the inner query is a constant

SELECT_ODD_MEMBERS = f"""
-- The members that INSERT_GROUP left out, with their cells.
SELECT address, fields->>0, fields->>1, fields->>2, fields->>3
FROM ({_MEMBERS}) AS person WHERE NOT is_plain ORDER BY id
"""  # noqa: S608  the inner query is a constant

COPY_UPLOAD = "COPY batches_uploadchunk (batch_id, number, data) FROM STDIN BINARY"

DELETE_EMAILS = "DELETE FROM batches_email WHERE batch_id = %(batch)s"

DELETE_REJECTED = "DELETE FROM batches_rejectedrow WHERE batch_id = %(batch)s"

COUNT_ODD = """
-- In one pass: emails that need SMTPUTF8, then those that leave each of some merge fields blank.
SELECT count(*) FILTER (WHERE octet_length(address) <> char_length(address)){blanks}
FROM batches_email WHERE batch_id = %s
"""

COUNT_BLANK = ", count(*) FILTER (WHERE btrim(fields->>%s::integer) = '')"

DELETE_CORRECTED = """
-- Rejected rows that added rows stand for, but none of the added rows.
DELETE FROM batches_rejectedrow WHERE batch_id = %(batch)s AND line = ANY(%(lines)s) AND line <= %(up_to)s
"""
