-- Every statement the store runs, by name. Instants are microseconds since 1970 in UTC.

-- name: issue
-- Lists come as literals: the driver takes its time over each element of an array.
SELECT watchword.issue(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
    $22, $23, $24, $25, $26::text::bigint[], $27, $28, $29, $30::text::bytea[], $31::text::bigint[],
    $32::text::int[], $33::text::int[], $34::text::bigint[], $35::text::bigint[],
    $36::text::bigint[], $37::text::bigint[], $38::text::bigint[], $39::text::bigint[]);

-- name: attempt
SELECT watchword.attempt(
    $1, $2, $3, $4, $5, $6, $7, $8::text::bytea[], $9, $10, $11::text::bigint[]);

-- name: attempt_with_effect
SELECT watchword.attempt(
    $1, $2, $3, $4, $5, $6, $7, $8::text::bytea[], $9, $10, $11::text::bigint[], $12, $13, $14, $15,
    $16);

-- name: cancel
SELECT id, app_id, purpose, channel, slot, destination, subject, masked, recipient, code_length,
       max_attempts, attempts, state, digests, drawn_at, dies_at, sealed, opened_at, resend_at,
       expires_at, closed_at
FROM watchword.cancel($1, $2, $3, $4);

-- name: challenge
SELECT id, app_id, purpose, channel, slot, destination, subject, masked, recipient, code_length,
       max_attempts, attempts, state, digests, drawn_at, dies_at, sealed, opened_at, resend_at,
       expires_at, closed_at
FROM watchword.challenges WHERE serial = $1 AND id = $2 AND app_id = $3;

-- name: latest
SELECT id, app_id, purpose, channel, slot, destination, subject, masked, recipient, code_length,
       max_attempts, attempts, state, digests, drawn_at, dies_at, sealed, opened_at, resend_at,
       expires_at, closed_at
FROM watchword.challenges WHERE slot = $1 AND app_id = $2 ORDER BY serial DESC LIMIT 1;

-- name: history_page
-- Where the page before a serial begins; NULL past the oldest.
SELECT min(serial) FROM (
    SELECT serial FROM watchword.challenges WHERE serial < $1 ORDER BY serial DESC LIMIT $2) page;

-- name: history
SELECT id, app_id, purpose, channel, slot, destination, subject, masked, recipient, code_length,
       max_attempts, attempts, state, digests, drawn_at, dies_at, sealed, opened_at, resend_at,
       expires_at, closed_at
FROM watchword.challenges
WHERE serial >= $1 AND serial < $2 AND destination = ANY ($3) ORDER BY serial DESC;

-- name: failures
SELECT instants, streak FROM watchword.destinations WHERE destination = $1;

-- name: lease
SELECT id, token, app_id, challenge_id, slot, purpose, tries, minutes, recipient, code, expires_at,
       queued_at
FROM watchword.lease($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: begin_sending
-- Those that may still go; what expired meanwhile is settled.
WITH held AS MATERIALIZED (
    SELECT d.id, d.state, d.expires_at > $3 AS is_alive
    FROM watchword.deliveries d JOIN unnest($1::bigint[], $2::int[]) AS leased (id, token)
      ON d.id = leased.id AND d.token = leased.token
    WHERE d.state = 'leased' OR $5 AND d.state = 'sending' ORDER BY d.id FOR UPDATE OF d),
expired AS (
    UPDATE watchword.deliveries d
    SET state = 'expired', code = '', recipient = '', due_at = NULL, settled_at = $3
    FROM held WHERE d.id = held.id AND NOT held.is_alive)
UPDATE watchword.deliveries d
SET state = 'sending', tries = d.tries + (held.state = 'leased')::int, due_at = $4
FROM held WHERE d.id = held.id AND held.is_alive RETURNING d.id, d.token;

-- name: hand_back
-- It was due, and goes before what was queued after it.
WITH held AS MATERIALIZED (
    SELECT d.id FROM watchword.deliveries d
    JOIN unnest($1::bigint[], $2::int[]) AS leased (id, token)
      ON d.id = leased.id AND d.token = leased.token
    WHERE d.state = 'leased' ORDER BY d.id FOR UPDATE OF d)
UPDATE watchword.deliveries d SET state = 'queued', due_at = d.queued_at FROM held WHERE d.id = held.id;

-- name: settle
-- What nobody knew the end of, or, by a receipt, what a carrier had only accepted.
UPDATE watchword.deliveries SET state = $2, reason = $3, settled_at = $4
WHERE id = $1 AND (state = 'unknown' OR state = 'accepted' AND $5) RETURNING id;

-- name: record_handovers
SELECT watchword.record_handovers($1, $2, $3, $4, $5, $6, $7, $8);

-- name: next_due
-- From one app to the next by the index, however much each has in line.
WITH RECURSIVE apps (app_id) AS (
    (SELECT app_id FROM watchword.deliveries WHERE channel = $1 AND due_at IS NOT NULL
     ORDER BY channel, app_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.app_id FROM watchword.deliveries d
            WHERE d.channel = $1 AND d.due_at IS NOT NULL AND d.app_id > apps.app_id
            ORDER BY d.channel, d.app_id LIMIT 1)
    FROM apps WHERE apps.app_id IS NOT NULL)
SELECT min((SELECT d.due_at FROM watchword.deliveries d
            WHERE d.channel = $1 AND d.app_id = apps.app_id AND d.due_at IS NOT NULL
            ORDER BY d.channel, d.app_id, d.due_at LIMIT 1))
FROM apps;

-- name: waiting
-- Of each channel how many deliveries are unsettled, and when the first of them was queued.
WITH RECURSIVE found (channel) AS (
    SELECT min(channel) FROM watchword.deliveries WHERE due_at IS NOT NULL
    UNION ALL
    SELECT (SELECT min(d.channel) FROM watchword.deliveries d
            WHERE d.channel > found.channel AND d.due_at IS NOT NULL)
    FROM found WHERE found.channel IS NOT NULL)
SELECT found.channel, w.messages, w.oldest
FROM found CROSS JOIN LATERAL (
    SELECT count(*) AS messages, min(queued_at) AS oldest
    FROM (SELECT queued_at FROM watchword.deliveries d
          WHERE d.channel = found.channel AND due_at IS NOT NULL LIMIT $1) AS first) AS w
WHERE found.channel IS NOT NULL AND w.messages > 0;

-- name: waiting_before
SELECT count(*) FROM (
    SELECT id FROM watchword.deliveries
    WHERE channel = $1 AND due_at IS NOT NULL AND id < $2 LIMIT $3) AS before;

-- name: troubles
-- Of the newest deliveries, those whose end nobody knows; of some destinations, those with so many
-- wrong codes in a row, the last of them late enough.
SELECT (SELECT count(*) FROM (
            SELECT state, settled_at FROM watchword.deliveries ORDER BY id DESC LIMIT $1) AS newest
        WHERE state = 'unknown' AND settled_at > $2),
       (SELECT count(*) FROM (SELECT streak, idle_at FROM watchword.destinations LIMIT $1) AS any_of
        WHERE streak >= $3 AND idle_at > $4);

-- name: unswept
-- The ends of the oldest challenge, key and record: three looks at an index.
SELECT (SELECT min(expires_at) FROM watchword.challenges),
       (SELECT min(expires_at) FROM watchword.onces),
       (SELECT min(expires_at) FROM watchword.records WHERE expires_at IS NOT NULL);

-- name: deliveries
SELECT d.id, c.id, d.channel, d.provider, d.state, d.tries, d.reason, d.queued_at, d.settled_at,
       d.due_at
FROM watchword.challenges c LEFT JOIN watchword.deliveries d ON c.serial = d.challenge
WHERE c.serial = $1 AND c.id = $2 AND c.app_id = $3 ORDER BY d.id;

-- name: delivery_state
SELECT state FROM watchword.deliveries WHERE id = $1;

-- name: listed
SELECT d.id, c.id, d.channel, d.provider, d.state, d.tries, d.reason, d.queued_at, d.settled_at,
       d.due_at, c.app_id, c.masked
FROM watchword.deliveries d JOIN watchword.challenges c ON c.serial = d.challenge
WHERE d.state = $1 ORDER BY d.id DESC LIMIT $2;

-- name: record
SELECT kind, key, version, body, expires_at FROM watchword.records
WHERE kind = $1 AND key = $2 AND (expires_at IS NULL OR expires_at > $3);

-- name: records
SELECT kind, key, version, body, expires_at FROM watchword.records
WHERE kind = $1 AND (expires_at IS NULL OR expires_at > $2) ORDER BY key COLLATE "C";

-- name: page_of_records
SELECT kind, key, version, body, expires_at FROM watchword.records
WHERE kind = $1 AND key > $2 AND (expires_at IS NULL OR expires_at > $3) ORDER BY key LIMIT $4;

-- name: sealed_challenges
SELECT serial, substring(recipient FROM 1 FOR 2),
       ARRAY(SELECT substring(one FROM 1 FOR 2) FROM unnest(sealed) one WHERE one IS NOT NULL),
       expires_at
FROM watchword.challenges WHERE serial > $1 ORDER BY serial LIMIT $2;

-- name: sealed_deliveries
SELECT id, substring(recipient FROM 1 FOR 2), substring(code FROM 1 FOR 2), expires_at
FROM watchword.deliveries WHERE id > $1 AND (recipient <> '' OR code <> '') ORDER BY id LIMIT $2;

-- name: open_until
SELECT max(expires_at) FROM watchword.challenges
WHERE expires_at > $1 AND state = 'pending' AND opened_at <= $2;

-- name: write
SELECT watchword.write($1, $2, $3, $4, $5, $6);

-- name: spend
SELECT watchword.spend(
    $1, $2::text::bytea[], $3::text::bigint[], $4::text::int[], $5::text::int[],
    $6::text::bigint[], $7::text::bigint[], $8::text::bigint[], $9::text::bigint[], $10::text::bigint[],
    $11::text::bigint[]);

-- name: look
SELECT waits, is_begun FROM watchword.look(
    $1, $2::text::bytea[], $3::text::bigint[], $4::text::int[], $5::text::int[],
    $6::text::bigint[], $7::text::bigint[], $8::text::bigint[], $9::text::bigint[], $10::text::bigint[],
    $11::text::bigint[]);

-- name: forget
WITH trails AS (DELETE FROM watchword.trails WHERE counter = ANY ($1))
DELETE FROM watchword.tallies WHERE counter = ANY ($1);

-- name: unlock
SELECT watchword.unlock($1);

-- name: touch
-- A word in the log that a COMMIT has to put on the disk, and on every synchronous standby; no row.
-- Nothing where the database is read only.
SELECT pg_logical_emit_message(true, 'watchword', '')
WHERE current_setting('transaction_read_only') = 'off';

-- name: notify
SELECT pg_notify('watchword', $1);

-- name: clock
SELECT clock_timestamp();

-- name: wipe
SELECT wiped, has_more, until, last, again_since, again_after
FROM watchword.wipe($1, $2, $3, $4, $5);

-- name: forget_challenges
-- Old ones, with their deliveries.
WITH old AS (
    SELECT serial FROM watchword.challenges WHERE expires_at > $1 AND expires_at <= $2
    ORDER BY expires_at LIMIT $3 FOR UPDATE SKIP LOCKED),
gone AS (DELETE FROM watchword.deliveries d USING old WHERE d.challenge = old.serial)
DELETE FROM watchword.challenges c USING old WHERE c.serial = old.serial RETURNING c.expires_at;

-- name: forget_onces
WITH old AS (
    SELECT key FROM watchword.onces WHERE expires_at > $1 AND expires_at <= $2
    ORDER BY expires_at LIMIT $3 FOR UPDATE SKIP LOCKED)
DELETE FROM watchword.onces o USING old WHERE o.key = old.key RETURNING o.expires_at;

-- name: forget_records
WITH old AS (
    SELECT kind, key FROM watchword.records WHERE expires_at > $1 AND expires_at <= $2
    ORDER BY expires_at LIMIT $3 FOR UPDATE SKIP LOCKED)
DELETE FROM watchword.records r USING old WHERE r.kind = old.kind AND r.key = old.key
RETURNING r.expires_at;

-- The walks past all counters of a kind: how many were looked at, how many of them nobody could ask
-- for any more and are gone, and the key to go on from.

-- name: walk_trails
WITH seen AS MATERIALIZED (
    SELECT counter, kind, share, idle_at FROM watchword.trails
    WHERE (counter, kind, share) > ($4, $5, $6) ORDER BY counter, kind, share LIMIT $2),
idle AS MATERIALIZED (
    SELECT t.counter, t.kind, t.share FROM watchword.trails t JOIN seen USING (counter, kind, share)
    WHERE seen.idle_at <= $1 AND t.idle_at <= $1 ORDER BY 1, 2, 3 LIMIT $3 FOR UPDATE OF t SKIP LOCKED),
gone AS (
    DELETE FROM watchword.trails t USING idle i
    WHERE (t.counter, t.kind, t.share) = (i.counter, i.kind, i.share)),
place AS (
    SELECT counter, kind, share FROM seen WHERE (SELECT count(*) FROM idle) < $3
    UNION ALL SELECT counter, kind, share FROM idle
    ORDER BY 1 DESC, 2 DESC, 3 DESC LIMIT 1)
SELECT (SELECT count(*) FROM seen), (SELECT count(*) FROM idle), p.* FROM place p;

-- name: walk_tallies
WITH seen AS MATERIALIZED (
    SELECT counter, share, closes_at FROM watchword.tallies
    WHERE (counter, share) > ($4, $5) ORDER BY counter, share LIMIT $2),
idle AS MATERIALIZED (
    SELECT t.counter, t.share FROM watchword.tallies t JOIN seen USING (counter, share)
    WHERE seen.closes_at <= $1 AND t.closes_at <= $1 ORDER BY 1, 2 LIMIT $3 FOR UPDATE OF t SKIP LOCKED),
gone AS (
    DELETE FROM watchword.tallies t USING idle i WHERE (t.counter, t.share) = (i.counter, i.share)),
place AS (
    SELECT counter, share FROM seen WHERE (SELECT count(*) FROM idle) < $3
    UNION ALL SELECT counter, share FROM idle ORDER BY 1 DESC, 2 DESC LIMIT 1)
SELECT (SELECT count(*) FROM seen), (SELECT count(*) FROM idle), p.* FROM place p;

-- name: walk_failures
WITH seen AS MATERIALIZED (
    SELECT destination, network, idle_at FROM watchword.failures
    WHERE (destination, network) > ($4, $5) ORDER BY destination, network LIMIT $2),
idle AS MATERIALIZED (
    SELECT f.destination, f.network
    FROM watchword.failures f JOIN seen USING (destination, network)
    WHERE seen.idle_at <= $1 AND f.idle_at <= $1 ORDER BY 1, 2 LIMIT $3 FOR UPDATE OF f SKIP LOCKED),
gone AS (
    DELETE FROM watchword.failures f USING idle i
    WHERE (f.destination, f.network) = (i.destination, i.network)),
place AS (
    SELECT destination, network FROM seen WHERE (SELECT count(*) FROM idle) < $3
    UNION ALL SELECT destination, network FROM idle ORDER BY 1 DESC, 2 DESC LIMIT 1)
SELECT (SELECT count(*) FROM seen), (SELECT count(*) FROM idle), p.* FROM place p;

-- name: walk_destinations
WITH seen AS MATERIALIZED (
    SELECT destination, idle_at FROM watchword.destinations
    WHERE destination > $4 ORDER BY destination LIMIT $2),
idle AS MATERIALIZED (
    SELECT d.destination FROM watchword.destinations d JOIN seen USING (destination)
    WHERE seen.idle_at <= $1 AND d.idle_at <= $1 ORDER BY 1 LIMIT $3 FOR UPDATE OF d SKIP LOCKED),
gone AS (
    DELETE FROM watchword.destinations d USING idle i WHERE d.destination = i.destination),
place AS (
    SELECT destination FROM seen WHERE (SELECT count(*) FROM idle) < $3
    UNION ALL SELECT destination FROM idle ORDER BY 1 DESC LIMIT 1)
SELECT (SELECT count(*) FROM seen), (SELECT count(*) FROM idle), p.* FROM place p;

-- name: settings
SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync,
       current_setting('full_page_writes') AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('synchronous_standby_names') AS synchronous_standby_names,
       current_setting('transaction_isolation') AS transaction_isolation;

-- name: slots
SELECT slot_name::text, active, wal_status, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint AS lag
FROM pg_replication_slots WHERE NOT pg_is_in_recovery();

-- name: lacks_a_standby
SELECT current_setting('synchronous_standby_names') <> '' AND NOT EXISTS (
    SELECT FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum'));

-- name: note
INSERT INTO watchword.events (
    at, kind, app_id, channel, purpose, challenge_id, subject, masked, details)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                     $7::bytea[], $8::text[], $9::text[]);

-- name: unsealed
SELECT id, at, kind, app_id, channel, purpose, challenge_id, subject, masked, details
FROM watchword.events ORDER BY id LIMIT $1;

-- name: to_seal
SELECT count(*), min(at) FROM watchword.events;

-- name: chains
SELECT number, day, entries, last, standing, mac FROM watchword.chains ORDER BY number;

-- name: begin_chain
SELECT watchword.begin_chain($1, $2, $3, $4, $5);

-- name: seal
SELECT watchword.seal(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17);

-- name: entries
SELECT chain, position, commitment, mac, salt, body, subject, erased FROM watchword.journal
WHERE chain = $1 AND position >= $2 ORDER BY position LIMIT $3;

-- name: strays
-- Behind a chain's end, or of no chain; up to a thousand of each. The roll has no entries.
WITH RECURSIVE known (chain) AS (
    SELECT min(chain) FROM watchword.journal
    UNION ALL
    SELECT (SELECT min(j.chain) FROM watchword.journal j WHERE j.chain > k.chain)
    FROM known k WHERE k.chain IS NOT NULL)
SELECT coalesce(sum(
    (SELECT count(*) FROM (SELECT 1 FROM watchword.journal j
        WHERE j.chain = k.chain AND j.position >= coalesce(c.entries, 0) LIMIT 1000) behind)
    + (SELECT count(*) FROM (SELECT 1 FROM watchword.journal j
        WHERE j.chain = k.chain AND j.position < 0 LIMIT 1000) before)), 0)
FROM known k LEFT JOIN watchword.chains c ON c.number = k.chain AND c.number <> 0
WHERE k.chain IS NOT NULL;

-- name: put_chain
UPDATE watchword.chains SET day = $2, entries = $3, last = $4, standing = $5, mac = $6
WHERE number = $1;

-- name: drop_entries
WITH old AS (
    SELECT chain, position FROM watchword.journal WHERE chain = $1 ORDER BY position LIMIT $2)
DELETE FROM watchword.journal j USING old WHERE (j.chain, j.position) = (old.chain, old.position)
RETURNING 1;

-- name: entries_about
SELECT chain, position FROM watchword.journal WHERE subject = ANY ($1);

-- name: erase
SELECT events, challenges, deliveries FROM watchword.erase($1, $2, $3, $4);

-- name: due_notices
-- Each webhook that anything waits for, found by one step into the index apiece.
WITH RECURSIVE waiting (webhook) AS (
    SELECT min(webhook) FROM watchword.notices
    UNION ALL
    SELECT (SELECT min(n.webhook) FROM watchword.notices n WHERE n.webhook > w.webhook)
    FROM waiting w WHERE w.webhook IS NOT NULL)
SELECT w.webhook, (SELECT min(n.due_at) FROM watchword.notices n WHERE n.webhook = w.webhook)
FROM waiting w WHERE w.webhook IS NOT NULL;

-- name: lease_notices
-- A post is counted when it begins, so that the one before the last crash counts, too.
WITH due AS MATERIALIZED (
    SELECT id FROM watchword.notices WHERE webhook = $1 AND due_at <= $2
    ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED)
UPDATE watchword.notices n SET token = n.token + 1, due_at = $3 FROM due WHERE n.id = due.id
RETURNING n.id, n.token, n.webhook, n.key, n.notice, n.at, n.told;

-- name: put_off_notice
UPDATE watchword.notices SET due_at = $3 WHERE id = $1 AND token = $2;

-- name: end_notice
DELETE FROM watchword.notices WHERE id = $1 AND token = $2;

-- name: drop_notices
DELETE FROM watchword.notices WHERE id IN (
    SELECT id FROM watchword.notices WHERE webhook = $1 AND at <= $2 ORDER BY due_at LIMIT 1000);

-- name: waiting_notices
SELECT webhook, count(*), min(at) FROM watchword.notices GROUP BY webhook;

-- name: last_send
SELECT opened_at FROM watchword.challenges ORDER BY serial DESC LIMIT 1;

-- name: pinned_ring
SELECT body FROM watchword.records WHERE kind = 'keyring' AND key = 'fingerprint';

-- name: settle_begun
-- Nobody can tell whether what a backup finds begun has arrived.
UPDATE watchword.deliveries SET state = 'unknown', reason = 'restored from a backup', code = '',
       recipient = '', due_at = NULL, settled_at = $1 WHERE state = 'sending';

-- name: settle_waiting
-- It may have been handed over since, also where its code is over by now.
UPDATE watchword.deliveries SET state = 'cancelled', reason = 'restored from a backup', code = '',
       recipient = '', due_at = NULL, settled_at = $1 WHERE state IN ('queued', 'leased');

-- name: close_all
-- Their codes may have been used since, so nobody is told that they were not.
UPDATE watchword.challenges
SET state = 'cancelled', closed_at = least(expires_at, $1), digests = '{}', drawn_at = '{}',
    dies_at = '{}', sealed = '{}'
WHERE state = 'pending';

-- name: forget_kinds
-- A kind that ends in a percent sign means all that begin so.
DELETE FROM watchword.records WHERE kind LIKE ANY ($1);

-- name: counters
SELECT (SELECT count(*) FROM (SELECT DISTINCT counter, kind FROM watchword.trails) t)
     + (SELECT count(DISTINCT counter) FROM watchword.tallies)
     + (SELECT count(*) FROM watchword.failures)
     + (SELECT count(*) FROM watchword.destinations WHERE streak > 0);

-- name: open_house
-- From now on servers find a store.
INSERT INTO watchword.house VALUES ($1);
