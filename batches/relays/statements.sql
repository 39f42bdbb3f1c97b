-- The statements that find the relays of a lane run. The loader is batches/models/sql.

-- name: relays_version
-- A text that changes when a person changes a relay, or which relays a sender may use.
-- The times are numbers, because as text they depend on the time zone of the connection. They are added up: the newest
-- alone would hide a change by a process whose clock is slow, or that commits after a later one.
(SELECT concat_ws(' ', count(*), sum(extract(epoch FROM updated_at))) FROM batches_relay)
       || ' ' || (SELECT concat_ws(' ', count(*), sum(extract(epoch FROM updated_at))) FROM batches_sender)

-- name: FIND_RELAYS
-- Return every relay, with the longest pause that holds for mail of one sender.
-- A relay that names senders carries no other sender's mail, and a sender that names relays is carried by no other.
-- A relay may refuse the mail of a sender that it does not know, so mail without a known sender is not given to it.
SELECT r.id, r.name, r.is_enabled,
       (NOT EXISTS (SELECT FROM batches_relay_senders s WHERE s.relay_id = r.id)
        OR EXISTS (SELECT FROM batches_relay_senders s WHERE s.relay_id = r.id AND s.sender_id = %(sender)s::bigint))
       AND (NOT EXISTS (SELECT FROM batches_sender_relays s WHERE s.sender_id = %(sender)s::bigint)
            OR EXISTS (SELECT FROM batches_sender_relays s
                       WHERE s.sender_id = %(sender)s::bigint AND s.relay_id = r.id)) AS is_allowed,
       r.weight, r."order", r.connections, r.rate_per_second, r.rate_per_minute,
       r.opens_at, r.closes_at, r.weekdays, r.closes_after_refusals, r.keeps_return_path,
       EXISTS (SELECT FROM batches_relayquota q WHERE q.relay_id = r.id) AS has_quotas,
       coalesce(extract(epoch FROM p.until - statement_timestamp())::float8, 0) AS paused_seconds,
       coalesce(p.sentence, '') AS pause_sentence,
       statement_timestamp() AS now, {relays_version} AS version
FROM batches_relay r
LEFT JOIN LATERAL (
  SELECT p.until, p.sentence FROM batches_relaypause p
  WHERE p.relay_id = r.id AND (p.sender_id IS NULL OR p.sender_id = %(sender)s::bigint)
    AND p.until > statement_timestamp()
  ORDER BY p.until DESC LIMIT 1
) p ON true
ORDER BY r."order", r.id

-- name: ADD_RELAYS
-- Add a row for each relay of the environment that has none.
-- Two processes may do this at once, so a row that is there already is left as it is.
INSERT INTO batches_relay (name, is_enabled, preset, weight, "order", rate_per_second, rate_per_minute, weekdays,
                           closes_after_refusals, created_at, updated_at)
SELECT name, true, %(preset)s, 1, 0, 0, 0, '{}'::smallint[], false, clock_timestamp(), clock_timestamp()
FROM unnest(%(names)s::text[]) AS name
ON CONFLICT (name) DO NOTHING

-- name: KEEP_MINUTE_QUOTAS
-- Let each relay's quota of a minute be its messages per minute. The ledger counts by quotas alone.
-- A quota that is left as it is keeps its uses.
WITH ended AS (
  DELETE FROM batches_relayquota q USING batches_relay r
  WHERE r.id = q.relay_id AND q.period_seconds = 60 AND r.rate_per_minute = 0
)
INSERT INTO batches_relayquota AS q (relay_id, amount, period_seconds)
SELECT r.id, r.rate_per_minute, 60 FROM batches_relay r WHERE r.rate_per_minute > 0
ON CONFLICT (relay_id, period_seconds) DO UPDATE SET amount = excluded.amount WHERE q.amount <> excluded.amount

-- name: QUOTA_USES
-- Return how much of each quota is used, with what the lanes have in flight.
SELECT q.relay_id, q.amount, q.period_seconds,
       coalesce((SELECT sum(u.count) FROM batches_relayuse u
                 WHERE u.quota_id = q.id
                   AND u.at > statement_timestamp() - q.period_seconds * interval '1 second'), 0)::bigint AS used,
       coalesce((SELECT sum(v.count) FROM batches_reservation v WHERE v.relay_id = q.relay_id), 0)::bigint AS reserved
FROM batches_relayquota q ORDER BY q.relay_id, q.period_seconds

-- name: RELAYS_VERSION
-- Return the version of the relays alone, for a lane run that asks whether it still has the right ones.
SELECT {relays_version}

-- name: READ_TOKEN
-- Return the tokens of a relay, with the seconds until the access token is renewed and until it ends.
SELECT t.client_digest, t.sealed,
       extract(epoch FROM t.renew_at - clock_timestamp())::float8 AS renew_in_seconds,
       extract(epoch FROM t.ends_at - clock_timestamp())::float8 AS remaining_seconds
FROM batches_relaytoken t JOIN batches_relay r ON r.id = t.relay_id WHERE r.name = %(relay)s

-- name: CLAIM_TOKEN
-- Let the caller renew a relay's token, unless another process does so, or has done so since the caller read it.
-- A process that died while it renewed keeps the others waiting until `renewing_until` only.
INSERT INTO batches_relaytoken AS t (relay_id, client_digest, sealed, renew_at, ends_at, renewing_until)
SELECT r.id, '', '', 'epoch', 'epoch', clock_timestamp() + %(seconds)s * interval '1 second'
FROM batches_relay r WHERE r.name = %(relay)s
ON CONFLICT (relay_id) DO UPDATE SET renewing_until = excluded.renewing_until
WHERE (t.renewing_until IS NULL OR t.renewing_until < clock_timestamp()) AND t.sealed = %(sealed)s

-- name: SAVE_TOKEN
-- Keep a relay's new tokens, and end the renewal.
UPDATE batches_relaytoken t
SET client_digest = %(digest)s, sealed = %(sealed)s, renewing_until = NULL,
    renew_at = clock_timestamp() + %(renew_in_seconds)s * interval '1 second',
    ends_at = clock_timestamp() + %(life_seconds)s * interval '1 second'
FROM batches_relay r WHERE r.id = t.relay_id AND r.name = %(relay)s

-- name: GIVE_UP_TOKEN
-- End a renewal that failed, so that another process may renew at once.
UPDATE batches_relaytoken t SET renewing_until = NULL
FROM batches_relay r WHERE r.id = t.relay_id AND r.name = %(relay)s
