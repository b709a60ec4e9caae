-- Every statement the store runs, by name. Instants are microseconds since 1970 in UTC.

-- name: once
-- The answer given under an idempotency key.
SELECT 'once', key, request, answer, NULL FROM onces WHERE key = ? AND expires_at > ?;

-- name: remember_once
-- A key whose day is over may be used anew.
INSERT INTO onces (key, request, answer, expires_at) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    request = excluded.request, answer = excluded.answer, expires_at = excluded.expires_at;

-- name: failures
-- The failures of a destination from one network; from all of them with an empty one.
SELECT 'failures', network, instants, streak, NULL FROM failures
WHERE destination = ? AND network = ?;

-- name: put_failures
INSERT INTO failures (destination, network, instants, streak, idle_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    instants = excluded.instants, streak = excluded.streak, idle_at = excluded.idle_at;

-- name: forget_failures
DELETE FROM failures WHERE destination = ?;

-- name: challenge
SELECT id, app_id, purpose, channel, slot, destination, subject, masked, recipient,
       code_length, max_attempts, attempts, state, draws, opened_at, resend_at, expires_at, closed_at
FROM challenges WHERE serial = ? AND id = ? AND app_id = ?;

-- name: question
SELECT destination, subject, max_attempts, attempts, state, draws, expires_at
FROM challenges WHERE serial = ? AND id = ? AND app_id = ?;

-- name: latest
-- Whether a slot has a challenge at all, and which is its last.
SELECT 'latest', slot, max(serial), NULL, NULL FROM challenges WHERE slot = ? GROUP BY slot;

-- name: latest_challenge
-- The only challenge of a slot that may be open.
SELECT id, app_id, purpose, channel, slot, destination, subject, masked, recipient,
       code_length, max_attempts, attempts, state, draws, opened_at, resend_at, expires_at, closed_at
FROM challenges WHERE slot = ? AND app_id = ? ORDER BY serial DESC LIMIT 1;

-- name: history_page
-- Where the page before a serial begins; NULL past the oldest.
SELECT min(serial) FROM (
    SELECT serial FROM challenges WHERE serial < ? ORDER BY serial DESC LIMIT ?);

-- name: history
-- Those of a page that are of one of these destinations, which come as a list in JSON.
SELECT id, app_id, purpose, channel, slot, destination, subject, masked, recipient,
       code_length, max_attempts, attempts, state, draws, opened_at, resend_at, expires_at, closed_at
FROM challenges WHERE serial >= ? AND serial < ?
  AND hex(destination) IN (SELECT value FROM json_each(?)) ORDER BY serial DESC;

-- name: open_challenge
-- Two may have drawn the same serial in the same microsecond: the other one draws again.
INSERT OR IGNORE INTO challenges (
    serial, id, app_id, purpose, channel, slot, destination, subject, masked, recipient,
    code_length, max_attempts, attempts, state, draws, opened_at, resend_at, expires_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 'pending', ?, ?, ?, ?);

-- name: extend_challenge
UPDATE challenges SET channel = ?, recipient = ?, draws = ?, resend_at = ?, expires_at = ?
WHERE serial = ?;

-- name: count_attempt
UPDATE challenges SET attempts = attempts + 1 WHERE serial = ?;

-- name: close_challenge
-- A closed challenge keeps no code, sealed or digested.
UPDATE challenges SET state = ?, attempts = ?, draws = x'90', closed_at = ? WHERE serial = ?;

-- name: drop_queued
-- What was not yet begun for a closed challenge, or with a code that a newer one killed, is not sent.
UPDATE deliveries SET state = 'cancelled', code = x'', recipient = x'', due_at = NULL, settled_at = ?
WHERE challenge = ? AND state IN ('queued', 'leased');

-- name: drop_older
-- All but the two newest: their codes are no longer among the last three.
UPDATE deliveries SET state = 'cancelled', code = x'', recipient = x'', due_at = NULL, settled_at = ?1
WHERE challenge = ?2 AND state IN ('queued', 'leased')
  AND id NOT IN (SELECT id FROM deliveries WHERE challenge = ?2 ORDER BY id DESC LIMIT 2);

-- name: first_page
INSERT INTO spent (counter, page, before, instants, idle_at) VALUES (?, -1, 0, ?, ?);

-- name: newest_page
SELECT 'newest_page', counter, before, instants, NULL FROM spent WHERE counter = ? AND page = -1;

-- name: page
SELECT instants FROM spent WHERE counter = ? AND page = ?;

-- name: put_newest
UPDATE spent SET before = ?, instants = ?, idle_at = ? WHERE counter = ? AND page = -1;

-- name: file_page
-- What a sweep left of an earlier count gives way.
INSERT OR REPLACE INTO spent (counter, page, before, instants, idle_at) VALUES (?, ?, 0, ?, ?);

-- name: drop_pages
DELETE FROM spent WHERE counter = ? AND page >= 0 AND page < ?;

-- name: forget_pages
DELETE FROM spent WHERE counter = ?;

-- name: tally
SELECT 'tally', counter, opens_at, closes_at, amount FROM tallies WHERE counter = ?;

-- name: put_tally
INSERT INTO tallies (counter, opens_at, closes_at, amount) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    opens_at = excluded.opens_at, closes_at = excluded.closes_at, amount = excluded.amount;

-- name: forget_tally
DELETE FROM tallies WHERE counter = ?;

-- name: queue_delivery
INSERT INTO deliveries (
    app_id, challenge, channel, state, minutes, recipient, code, cancel_if_refused, queued_at,
    expires_at, due_at)
VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?);

-- name: apps_in_line
-- Who has anything to be handed over, from one app to the next by the index: how much, it does not say.
WITH RECURSIVE apps (app_id) AS (
    SELECT min(app_id) FROM deliveries WHERE channel = ?1 AND due_at IS NOT NULL
    UNION ALL
    SELECT (SELECT min(d.app_id) FROM deliveries d
            WHERE d.channel = ?1 AND d.due_at IS NOT NULL AND d.app_id > apps.app_id)
    FROM apps WHERE apps.app_id IS NOT NULL)
SELECT app_id FROM apps WHERE app_id IS NOT NULL;

-- name: next_of_app
SELECT d.id, d.state, d.token, d.tries, d.minutes, d.recipient, d.code, d.expires_at,
       c.app_id, c.id, c.slot, c.purpose, c.state, d.queued_at
FROM deliveries d JOIN challenges c ON c.serial = d.challenge
WHERE d.channel = ? AND d.app_id = ? AND d.due_at <= ? ORDER BY d.due_at, d.id LIMIT 1;

-- name: lease_delivery
UPDATE deliveries SET state = 'leased', token = token + 1, due_at = ? WHERE id = ?;

-- name: settle_delivery
-- No further hand-over of this row can happen: nothing of the message stays.
UPDATE deliveries SET state = ?, code = x'', recipient = x'', due_at = NULL, settled_at = ?
WHERE id = ?;

-- name: begin_sending
UPDATE deliveries SET state = 'sending', tries = tries + (state = 'leased'), due_at = ?
WHERE id = ? AND token = ? AND (state = 'leased' OR state = 'sending' AND ?) AND expires_at > ?;

-- name: expire_leased
UPDATE deliveries SET state = 'expired', code = x'', recipient = x'', due_at = NULL, settled_at = ?
WHERE id = ? AND token = ? AND (state = 'leased' OR state = 'sending' AND ?) AND expires_at <= ?;

-- name: hand_back
-- It was due, and goes before what was queued after it.
UPDATE deliveries SET state = 'queued', due_at = queued_at
WHERE id = ? AND token = ? AND state = 'leased';

-- name: settle_told
-- What nobody knew the end of, or, by a receipt, what a carrier had only accepted.
UPDATE deliveries SET state = ?, reason = ?, settled_at = ?
WHERE id = ? AND (state = 'unknown' OR state = 'accepted' AND ?);

-- name: record_handover
-- A late word is still the truth about a hand-over that was given up as unknown.
UPDATE deliveries SET state = ?, provider = ?, reference = ?, reason = ?, code = x'',
       recipient = x'', due_at = NULL, settled_at = ?
WHERE id = ? AND token = ? AND state IN ('sending', 'unknown');

-- name: queue_again
UPDATE deliveries SET state = 'queued', provider = ?, reason = ?, due_at = min(?, expires_at)
WHERE id = ? AND token = ? AND state = 'sending'
  AND EXISTS (SELECT 1 FROM challenges c WHERE c.serial = challenge AND c.state = 'pending');

-- name: settle_in_vain
-- Its challenge was closed, or swept, while it was being tried: it is not tried again.
UPDATE deliveries SET state = iif(expires_at <= ?1, 'expired', 'cancelled'), code = x'',
       recipient = x'', due_at = NULL, settled_at = ?1
WHERE id = ?2 AND token = ?3 AND (state = 'sending' OR state = 'unknown' AND expires_at <= ?1);

-- name: challenge_to_cancel
SELECT c.serial, c.attempts FROM deliveries d JOIN challenges c ON c.serial = d.challenge
WHERE d.id = ? AND d.cancel_if_refused = 1 AND c.state = 'pending';

-- name: next_due
WITH RECURSIVE apps (app_id) AS (
    SELECT min(app_id) FROM deliveries WHERE channel = ?1 AND due_at IS NOT NULL
    UNION ALL
    SELECT (SELECT min(d.app_id) FROM deliveries d
            WHERE d.channel = ?1 AND d.due_at IS NOT NULL AND d.app_id > apps.app_id)
    FROM apps WHERE apps.app_id IS NOT NULL)
SELECT min((SELECT min(d.due_at) FROM deliveries d
            WHERE d.channel = ?1 AND d.app_id = apps.app_id AND d.due_at IS NOT NULL))
FROM apps;

-- name: next_channel
-- The first channel after this one with unsettled deliveries.
SELECT min(channel) FROM deliveries WHERE channel > ? AND due_at IS NOT NULL;

-- name: waiting
-- How many deliveries of a channel are unsettled, by the index alone, and when the first of them was
-- queued: ids grow with time.
SELECT messages, (SELECT queued_at FROM deliveries WHERE id = first)
FROM (SELECT count(*) AS messages, min(id) AS first
      FROM (SELECT id FROM deliveries WHERE channel = ? AND due_at IS NOT NULL LIMIT ?));

-- name: waiting_before
-- How many unsettled deliveries of a channel were queued before one, by the index alone.
SELECT count(*) FROM (
    SELECT id FROM deliveries WHERE channel = ? AND due_at IS NOT NULL AND id < ? LIMIT ?);

-- name: troubles
-- Of the newest deliveries, those whose end nobody knows; of some destinations, those with so many
-- wrong codes in a row, the last of them late enough.
SELECT (SELECT count(*) FROM (SELECT state, settled_at FROM deliveries ORDER BY id DESC LIMIT ?1)
        WHERE state = 'unknown' AND settled_at > ?2),
       (SELECT count(*) FROM (SELECT streak, idle_at FROM failures WHERE network = x'' LIMIT ?1)
        WHERE streak >= ?3 AND idle_at > ?4);

-- name: unswept
-- The ends of the oldest challenge, key and record: three looks at an index.
SELECT (SELECT min(expires_at) FROM challenges),
       (SELECT expires_at FROM onces ORDER BY row LIMIT 1),
       (SELECT min(expires_at) FROM records WHERE expires_at IS NOT NULL);

-- name: deliveries
SELECT d.id, c.id, d.channel, d.provider, d.state, d.tries, d.reason, d.queued_at, d.settled_at,
       d.due_at
FROM challenges c LEFT JOIN deliveries d ON c.serial = d.challenge
WHERE c.serial = ? AND c.id = ? AND c.app_id = ? ORDER BY d.id;

-- name: delivery_state
SELECT state FROM deliveries WHERE id = ?;

-- name: listed
SELECT d.id, c.id, d.channel, d.provider, d.state, d.tries, d.reason, d.queued_at, d.settled_at,
       d.due_at, c.app_id, c.masked
FROM deliveries d JOIN challenges c ON c.serial = d.challenge
WHERE d.state = ? ORDER BY d.id DESC LIMIT ?;

-- name: record
SELECT kind, key, version, body, expires_at FROM records
WHERE kind = ? AND key = ? AND (expires_at IS NULL OR expires_at > ?);

-- name: records
SELECT kind, key, version, body, expires_at FROM records
WHERE kind = ? AND (expires_at IS NULL OR expires_at > ?) ORDER BY key;

-- name: page_of_records
SELECT kind, key, version, body, expires_at FROM records
WHERE kind = ? AND key > ? AND (expires_at IS NULL OR expires_at > ?) ORDER BY key LIMIT ?;

-- name: sealed_challenges
SELECT serial, substr(recipient, 1, 2), draws, expires_at FROM challenges
WHERE serial > ? ORDER BY serial LIMIT ?;

-- name: sealed_deliveries
SELECT id, substr(recipient, 1, 2), substr(code, 1, 2), expires_at FROM deliveries
WHERE id > ? AND (recipient <> x'' OR code <> x'') ORDER BY id LIMIT ?;

-- name: open_until
SELECT max(expires_at) FROM challenges
WHERE expires_at > ? AND state = 'pending' AND opened_at <= ?;

-- name: add_record
-- One whose time is over is as good as absent.
INSERT INTO records (kind, key, version, body, expires_at) VALUES (?, ?, 1, ?, ?)
ON CONFLICT DO UPDATE SET version = 1, body = excluded.body, expires_at = excluded.expires_at
WHERE records.expires_at <= ?;

-- name: change_record
UPDATE records SET version = version + 1, body = ?, expires_at = ?
WHERE kind = ? AND key = ? AND version = ? AND (expires_at IS NULL OR expires_at > ?);

-- name: delete_record
DELETE FROM records
WHERE kind = ? AND key = ? AND version = ? AND (expires_at IS NULL OR expires_at > ?);

-- name: walk_expired
-- The next few whose time is over. Of those that are open on paper the codes have to go.
SELECT expires_at, serial, state = 'pending' FROM challenges
WHERE (expires_at, serial) > (?, ?) AND expires_at <= ? ORDER BY expires_at, serial LIMIT ?;

-- name: expire_challenge
UPDATE challenges SET state = 'expired', draws = x'90', closed_at = expires_at
WHERE serial = ?2 AND state = 'pending' AND expires_at <= ?1;

-- name: settle_expired
-- What no lane took while its code lived, and what nobody told the end of.
UPDATE deliveries SET state = CASE state WHEN 'sending' THEN 'unknown' ELSE 'expired' END,
       code = x'', recipient = x'', due_at = NULL, settled_at = ?1
WHERE challenge = ?2 AND due_at IS NOT NULL AND expires_at <= ?1;

-- name: old_challenges
-- With what deleting them reads, wherever it lies.
SELECT c.serial,
       (SELECT s.serial FROM challenges s WHERE s.slot = c.slot AND s.serial = c.serial),
       (SELECT max(d.state) FROM deliveries d WHERE d.challenge = c.serial)
FROM (SELECT serial, slot FROM challenges WHERE expires_at <= ? ORDER BY expires_at LIMIT ?) c;

-- name: delete_old
DELETE FROM challenges WHERE serial = ?2 AND expires_at <= ?1;

-- name: delete_old_deliveries
DELETE FROM deliveries WHERE challenge = ?2 AND expires_at <= ?1;

-- name: delete_challenge
DELETE FROM challenges WHERE serial = ?;

-- name: delete_deliveries
DELETE FROM deliveries WHERE challenge = ?;

-- name: old_onces
-- All live equally long, so the oldest go first.
SELECT o.row, (SELECT k.row FROM onces k WHERE k.key = o.key)
FROM (SELECT row, key, expires_at FROM onces ORDER BY row LIMIT ?2) o WHERE o.expires_at <= ?1;

-- name: delete_once
DELETE FROM onces WHERE row = ?2 AND expires_at <= ?1;

-- name: walk_spent
SELECT counter, page FROM spent WHERE (counter, page) > (?, ?) ORDER BY counter, page LIMIT 1 OFFSET ?;

-- name: idle_spent
SELECT counter, page FROM spent WHERE (counter, page) > (?, ?) AND idle_at <= ?
ORDER BY counter, page LIMIT ?;

-- name: idle_spent_until
SELECT counter, page FROM spent WHERE (counter, page) > (?, ?) AND (counter, page) <= (?, ?) AND idle_at <= ?
ORDER BY counter, page LIMIT ?;

-- name: delete_page
DELETE FROM spent WHERE counter = ?2 AND page = ?3 AND idle_at <= ?1;

-- name: walk_failures
SELECT destination, network FROM failures WHERE (destination, network) > (?, ?) ORDER BY destination, network LIMIT 1 OFFSET ?;

-- name: idle_failures
SELECT destination, network FROM failures WHERE (destination, network) > (?, ?) AND idle_at <= ?
ORDER BY destination, network LIMIT ?;

-- name: idle_failures_until
SELECT destination, network FROM failures WHERE (destination, network) > (?, ?) AND (destination, network) <= (?, ?) AND idle_at <= ?
ORDER BY destination, network LIMIT ?;

-- name: delete_failures
DELETE FROM failures WHERE destination = ?2 AND network = ?3 AND idle_at <= ?1;

-- name: walk_tallies
SELECT counter FROM tallies WHERE counter > ? ORDER BY counter LIMIT 1 OFFSET ?;

-- name: idle_tallies
SELECT counter FROM tallies WHERE counter > ? AND closes_at <= ?
ORDER BY counter LIMIT ?;

-- name: idle_tallies_until
SELECT counter FROM tallies WHERE counter > ? AND counter <= ? AND closes_at <= ?
ORDER BY counter LIMIT ?;

-- name: delete_tally
DELETE FROM tallies WHERE counter = ?2 AND closes_at <= ?1;

-- name: old_records
SELECT kind, key FROM records WHERE expires_at <= ? LIMIT ?;

-- name: delete_old_record
DELETE FROM records WHERE kind = ?2 AND key = ?3 AND expires_at <= ?1;

-- name: queue_notice
INSERT INTO notices (webhook, key, notice, at, subject, told, due_at) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: due_notices
-- Each webhook that anything waits for, found by one step into the index apiece.
WITH RECURSIVE waiting (webhook) AS (
    SELECT min(webhook) FROM notices
    UNION ALL
    SELECT (SELECT min(n.webhook) FROM notices n WHERE n.webhook > w.webhook)
    FROM waiting w WHERE w.webhook IS NOT NULL)
SELECT w.webhook, (SELECT min(n.due_at) FROM notices n WHERE n.webhook = w.webhook)
FROM waiting w WHERE w.webhook IS NOT NULL;

-- name: lease_notices
-- A post is counted when it begins, so that the one before the last crash counts, too.
UPDATE notices SET token = token + 1, due_at = ?3
WHERE id IN (SELECT id FROM notices WHERE webhook = ?1 AND due_at <= ?2 ORDER BY due_at LIMIT ?4)
RETURNING id, token, webhook, key, notice, at, told;

-- name: put_off_notice
UPDATE notices SET due_at = ? WHERE id = ? AND token = ?;

-- name: end_notice
DELETE FROM notices WHERE id = ? AND token = ?;

-- name: drop_notices
DELETE FROM notices
WHERE id IN (SELECT id FROM notices WHERE webhook = ? AND at <= ? ORDER BY due_at LIMIT 1000);

-- name: erase_notices
DELETE FROM notices WHERE subject = ?;

-- name: waiting_notices
SELECT webhook, count(*), min(at) FROM notices GROUP BY webhook;

-- name: tell_sent
INSERT INTO events (at, kind, app_id, channel, purpose, challenge_id, subject, masked, details)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: tell_failed
INSERT INTO events (at, kind, app_id, channel, purpose, challenge_id, subject, masked)
SELECT ?, 'failed', app_id, channel, purpose, id, destination, masked
FROM challenges WHERE serial = ?;

-- name: unsealed
SELECT id, at, kind, app_id, channel, purpose, challenge_id, subject, masked, details
FROM events ORDER BY id LIMIT ?;

-- name: to_seal
SELECT count(*), min(at) FROM events;

-- name: chains
SELECT number, day, entries, last, standing, mac FROM chains ORDER BY number;

-- name: first_roll
INSERT OR IGNORE INTO chains (day, entries, last, standing, mac, number) VALUES (?, ?, ?, ?, ?, ?);

-- name: grow
-- Only as it was left by whoever asks: it has so many entries now, and had so many before.
UPDATE chains SET day = ?, entries = ?, last = ?, standing = ?, mac = ?
WHERE number = ? AND entries = ?;

-- name: add_chain
INSERT INTO chains (day, entries, last, standing, mac, number) VALUES (?, ?, ?, ?, ?, ?);

-- name: put_chain
UPDATE chains SET day = ?, entries = ?, last = ?, standing = ?, mac = ? WHERE number = ?;

-- name: take_event
DELETE FROM events WHERE id = ?;

-- name: append
INSERT INTO journal (chain, position, commitment, mac, salt, body, subject)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: entries
SELECT chain, position, commitment, mac, salt, body, subject, erased FROM journal
WHERE chain = ? AND position >= ? ORDER BY position LIMIT ?;

-- name: strays
-- Behind a chain's end, or of no chain; up to a thousand of each. The roll has no entries.
WITH RECURSIVE known (chain) AS (
    SELECT min(chain) FROM journal
    UNION ALL
    SELECT (SELECT min(j.chain) FROM journal j WHERE j.chain > k.chain)
    FROM known k WHERE k.chain IS NOT NULL)
SELECT coalesce(sum(
    (SELECT count(*) FROM (SELECT 1 FROM journal j
        WHERE j.chain = k.chain AND j.position >= coalesce(c.entries, 0) LIMIT 1000) behind)
    + (SELECT count(*) FROM (SELECT 1 FROM journal j
        WHERE j.chain = k.chain AND j.position < 0 LIMIT 1000) before)), 0)
FROM known k LEFT JOIN chains c ON c.number = k.chain AND c.number <> 0
WHERE k.chain IS NOT NULL;

-- name: drop_entries
DELETE FROM journal WHERE (chain, position) IN (
    SELECT chain, position FROM journal WHERE chain = ? ORDER BY position LIMIT ?);

-- name: entries_about
SELECT chain, position FROM journal WHERE subject = ?;

-- name: erase_entry
UPDATE journal SET salt = NULL, body = NULL, subject = NULL, erased = ?
WHERE chain = ? AND position = ?;

-- name: erase_events
DELETE FROM events WHERE subject = ?;

-- name: challenges_of
SELECT serial, id FROM challenges WHERE destination = ?;

-- name: erase_answers
DELETE FROM onces WHERE instr(answer, CAST(? AS BLOB)) > 0;

-- name: last_send
SELECT opened_at FROM challenges ORDER BY serial DESC LIMIT 1;

-- name: pinned_ring
SELECT body FROM records WHERE kind = 'keyring' AND key = 'fingerprint';

-- name: settle_begun
-- Nobody can tell whether what a backup finds begun has arrived.
UPDATE deliveries SET state = 'unknown', reason = 'restored from a backup', code = x'',
       recipient = x'', due_at = NULL, settled_at = ? WHERE state = 'sending';

-- name: settle_waiting
-- It may have been handed over since, also where its code is over by now.
UPDATE deliveries SET state = 'cancelled', reason = 'restored from a backup', code = x'',
       recipient = x'', due_at = NULL, settled_at = ? WHERE state IN ('queued', 'leased');

-- name: close_all
-- Their codes may have been used since, so nobody is told that they were not.
UPDATE challenges SET state = 'cancelled', draws = x'90', closed_at = min(expires_at, ?)
WHERE state = 'pending';

-- name: forget_kind
DELETE FROM records WHERE kind GLOB ?;

-- name: counters
SELECT (SELECT count(DISTINCT counter) FROM spent) + (SELECT count(*) FROM tallies)
     + (SELECT count(*) FROM failures);
