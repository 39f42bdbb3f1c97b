-- The statements of a lane that has several relays, or a relay with quotas.
--
-- A quota's relay may carry `amount` messages in any span of its period. What counts against it are uses and
-- reservations. A lane reserves for each email from its claim until its record. At its record it becomes a use, if the
-- relay accepted the message or may have accepted it. The use counts from a moment after the relay's reply, for a
-- period. So whenever a lane claims, everything that the relay accepted within the last period counts.
--
-- The locks are taken in this order: relays by their id, retries, the lane, quotas by their id, uses. Only a claim locks
-- relays. A statement that records needs no such lock: it turns a reservation into a use in one commit, and a reader
-- sees either (docs/decisions/0027).

-- name: LOCK_RELAYS
-- Lock the relays with quotas before their space is read, so that no two lanes reserve the same space.
-- It is a statement of its own: FIND_SPACE must see what the earlier holders of the lock have committed.
SELECT id FROM batches_relay WHERE id = ANY(%(relays)s::bigint[]) ORDER BY id FOR NO KEY UPDATE

-- name: FIND_SPACE
-- Find how many messages each quota still allows, and in how many seconds it allows one more than that.
-- `held` is what this lane itself has in flight of each relay. Null seconds: no use ends, because all of the quota is
-- reserved.
-- statement_timestamp() and not clock_timestamp(): PostgreSQL searches an index only for a value that is stable.
SELECT r.relay_id, q.amount, q.period_seconds, q.amount - r.held - u.used - o.reserved AS space, o.reserved, (
  SELECT extract(epoch FROM c.at - statement_timestamp())::float8 + q.period_seconds
  FROM (
    SELECT at, sum(count) OVER (ORDER BY at) AS ended FROM batches_relayuse
    WHERE quota_id = q.id AND at > statement_timestamp() - q.period_seconds * interval '1 second'
  ) c
  WHERE c.ended >= greatest(1, 1 - (q.amount - r.held - u.used - o.reserved))
  ORDER BY c.at LIMIT 1
) AS seconds
FROM unnest(%(relays)s::bigint[], %(held)s::int[]) AS r(relay_id, held)
  JOIN batches_relayquota q ON q.relay_id = r.relay_id
  CROSS JOIN LATERAL (
    SELECT coalesce(sum(count), 0)::int AS used FROM batches_relayuse
    WHERE quota_id = q.id AND at > statement_timestamp() - q.period_seconds * interval '1 second'
  ) u
  CROSS JOIN LATERAL (
    SELECT coalesce(sum(count), 0)::int AS reserved FROM batches_reservation
    WHERE relay_id = r.relay_id AND lane_id <> %(lane)s
  ) o

-- name: HAS_WORK
-- Say whether a lane would find anything to claim, if its relays had space.
SELECT coalesce({first_retry} <= now(), false) OR {first_in_range} IS NOT NULL OR {first_untried} IS NOT NULL
FROM batches_emailjob j JOIN batches_lane l ON l.job_id = j.id
WHERE l.id = %(lane)s

-- name: FIND_PINNED
-- Find the first retry that is due and that only another relay may carry than those in `usable`.
SELECT e.relay_id, coalesce(r.name, ''), coalesce(r.is_enabled, false)
FROM batches_email e LEFT JOIN batches_relay r ON r.id = e.relay_id
WHERE e.batch_id = %(batch)s AND e.next_attempt_at <= now() AND e.status = {pending}
  AND e.relay_id IS NOT NULL AND NOT e.relay_id = ANY(%(usable)s::bigint[])
ORDER BY e.next_attempt_at, e.id LIMIT 1

-- name: ROUTED_CYCLE
-- Do the work of LEDGER_CYCLE for a lane with several routes or with quotas.
--
-- `plan` names the route of each email that may be claimed, in turn, counted from 1. `spaces` is how many emails each
-- route may get, and 0 for a route that may get none. A retry that is pinned to a relay goes to that relay, and takes
-- the last of its places in the plan; the others share the rest. A retry for which its relay has no space stays pending.
--
--   asked                       the job's status, and how many emails may be claimed
--   found                       retries that are due: locked, and skipped if locked by another
--   └─ pinned, free             those with a pin that have space, and what they leave of the plan
--        └─ due                 the retries to claim, each with its route
--             └─ untried        the next rows of the lane's row range, as many as `due` leaves
--                  └─ claims    the claimed rows, each with its route
--                       └─ lease                       the lane's row
--                            ├─ recorded               the emails with a decision
--                            │    ├─ attempted         their Attempts
--                            │    └─ used              their uses of quotas
--                            ├─ reserved               what the lane has in flight of each relay with quotas
--                            └─ retried                the emails of `due`: sending
WITH asked AS (
  SELECT j.status, CASE WHEN j.status = {processing_job} THEN %(limit)s ELSE 0 END AS places
  FROM batches_emailjob j WHERE j.id = %(job)s
), found AS MATERIALIZED (
  SELECT e.ctid, e.row, e.relay_id, e.next_attempt_at, e.id
  FROM batches_email e
  WHERE e.batch_id = %(batch)s AND e.next_attempt_at <= now() AND e.status = {pending}
    AND (e.next_attempt_at, e.id) > (%(after_at)s::timestamptz, %(after_id)s::bigint)
    AND (e.relay_id IS NULL OR e.relay_id = ANY(%(pins)s::bigint[]))
  ORDER BY e.next_attempt_at, e.id
  LIMIT coalesce((SELECT places FROM asked), 0)
  FOR UPDATE OF e SKIP LOCKED
), pinned AS MATERIALIZED (
  SELECT ctid, row, route FROM (
    SELECT ctid, row, array_position(%(relay_ids)s::bigint[], relay_id) AS route,
           row_number() OVER (PARTITION BY relay_id ORDER BY next_attempt_at, id) AS nth
    FROM found WHERE relay_id IS NOT NULL
  ) f WHERE nth <= (%(spaces)s::int[])[route]
), free AS MATERIALIZED (
  SELECT coalesce(array_agg(route ORDER BY place), '{}') AS routes,
         least(count(*), (SELECT places FROM asked) - (SELECT count(*) FROM pinned)) AS places
  FROM (
    SELECT route, place, row_number() OVER (PARTITION BY route ORDER BY place) AS nth
    FROM unnest(%(plan)s::int[]) WITH ORDINALITY AS p(route, place)
  ) p WHERE nth <= (%(spaces)s::int[])[route] - (SELECT count(*) FROM pinned WHERE pinned.route = p.route)
), due AS MATERIALIZED (
  SELECT ctid, row, route FROM pinned
  UNION ALL
  SELECT u.ctid, u.row, free.routes[u.place]
  FROM free CROSS JOIN (
    SELECT ctid, row, row_number() OVER (ORDER BY next_attempt_at, id) AS place FROM found WHERE relay_id IS NULL
  ) u WHERE u.place <= free.places
), rest AS MATERIALIZED (
  SELECT free.routes, free.places, (SELECT count(*) FROM due) - (SELECT count(*) FROM pinned) AS taken FROM free
), untried AS MATERIALIZED (
  SELECT e.id, e.row, e.address, e.fields::text AS fields, e.attempts + 1 AS attempts, {digest_of_news} AS digest
  FROM batches_email e
  WHERE e.batch_id = %(batch)s AND e.row > %(after_row)s AND e.row <= %(end_row)s AND {is_untried}
  ORDER BY e.row
  LIMIT coalesce((SELECT places - taken FROM rest), 0)
), claims AS MATERIALIZED (
  SELECT NULL::bigint AS id, row, NULL AS address, NULL AS fields, NULL::int AS attempts, NULL::bytea AS digest, route
  FROM due
  UNION ALL
  SELECT id, row, address, fields, attempts, digest, rest.routes[rest.taken + row_number() OVER (ORDER BY row)]
  FROM untried CROSS JOIN rest
), decided AS (
  SELECT * FROM unnest(
    %(ids)s::bigint[], %(statuses)s::text[], %(outcomes)s::text[], %(codes)s::smallint[], %(replies)s::text[],
    %(delays)s::float8[], %(routes)s::int[]
  ) AS d(email_id, status, outcome, code, reply, delay_seconds, route)
), lease AS (
  UPDATE batches_lane l
  SET {renewed}, {counts}, relay_id = NULL,
      range_after_row = CASE
        WHEN (SELECT count(*) FROM untried) < (SELECT places - taken FROM rest) THEN %(end_row)s
        ELSE coalesce((SELECT max(row) FROM untried), %(after_row)s) END,
      claimed_rows = %(in_flight_rows)s::int[] || ARRAY(SELECT row FROM claims),
      claimed_relays = %(in_flight_relays)s::bigint[] || ARRAY(SELECT (%(relay_ids)s::bigint[])[route] FROM claims)
  WHERE l.id = %(lane)s AND l.token = %(token)s AND l.lease_until IS NOT NULL
  RETURNING l.id, l.range_after_row
), recorded AS (
  UPDATE batches_email e
  SET {decision},
      relay_id = CASE WHEN d.status <> {pending} THEN NULL
                 WHEN d.outcome = {unknown_outcome} THEN (%(relay_ids)s::bigint[])[d.route] ELSE e.relay_id END
  FROM decided d CROSS JOIN lease l
  WHERE e.id = d.email_id AND {is_in_flight}
  RETURNING e.id, e.attempts, d.outcome, d.code, d.reply, d.route
), attempted AS (
  INSERT INTO batches_attempt (email_id, lane_id, number, outcome, code, reply, relay, at)
  SELECT id, %(lane)s, attempts, outcome, nullif(code, 0), reply, (%(labels)s::text[])[route], clock_timestamp()
  FROM recorded WHERE outcome <> ''
), used AS (
  INSERT INTO batches_relayuse (quota_id, at, count)
  SELECT q.id, {slice_end}, u.count
  FROM (SELECT * FROM batches_relayquota WHERE relay_id = ANY(%(relay_ids)s::bigint[]) ORDER BY id FOR KEY SHARE) q
    JOIN (SELECT (%(relay_ids)s::bigint[])[route] AS relay_id, count(*) FROM recorded
          WHERE outcome IN ({sent_outcome}, {unknown_outcome}) GROUP BY route) u ON u.relay_id = q.relay_id
  ORDER BY q.id
  ON CONFLICT (quota_id, at) DO UPDATE SET count = batches_relayuse.count + excluded.count
), reserved AS (
  INSERT INTO batches_reservation (relay_id, lane_id, count)
  SELECT r.relay_id, lease.id, r.held + (
    SELECT count(*) FROM claims WHERE (%(relay_ids)s::bigint[])[route] = r.relay_id)
  FROM lease CROSS JOIN unnest(%(limited)s::bigint[], %(held)s::int[]) AS r(relay_id, held)
  WHERE EXISTS (SELECT FROM batches_relay WHERE id = r.relay_id FOR KEY SHARE)
  ON CONFLICT (relay_id, lane_id) DO UPDATE SET count = excluded.count
), retried AS (
  UPDATE batches_email e
  SET status = {sending}, lane_id = l.id, attempts = e.attempts + 1
  FROM due CROSS JOIN lease l
  WHERE e.ctid = due.ctid
  RETURNING e.id, e.row, e.address, e.fields::text AS fields, e.attempts, {digest_of_news} AS digest, e.next_attempt_at,
            due.route
)
SELECT asked.status, lease.range_after_row, c.next_attempt_at, c.id, c.row, c.address, c.fields, c.attempts, c.digest,
       c.route, {suppression_version}
FROM lease CROSS JOIN asked LEFT JOIN (
  SELECT next_attempt_at, id, row, address, fields, attempts, digest, route FROM retried
  UNION ALL
  SELECT NULL, id, row, address, fields, attempts, digest, route FROM claims WHERE id IS NOT NULL
) c ON true
