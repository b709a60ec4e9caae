-- An id is given once: whoever still holds that of a row that is gone meets no other one under it.

DROP TRIGGER tell_challenge;
DROP TRIGGER tell_message;
DROP INDEX deliveries_due;
DROP INDEX deliveries_by_challenge;
DROP INDEX notices_due;
ALTER TABLE deliveries RENAME TO old_deliveries;
ALTER TABLE notices RENAME TO old_notices;
ALTER TABLE events RENAME TO old_events;

CREATE TABLE deliveries (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    challenge         INTEGER NOT NULL,
    channel           TEXT    NOT NULL,
    provider          TEXT    NOT NULL DEFAULT '',
    state             TEXT    NOT NULL,
    token             INTEGER NOT NULL DEFAULT 0,
    tries             INTEGER NOT NULL DEFAULT 0,
    minutes           INTEGER NOT NULL,
    recipient         BLOB    NOT NULL,
    code              BLOB    NOT NULL,
    cancel_if_refused INTEGER NOT NULL,
    reference         TEXT    NOT NULL DEFAULT '',
    reason            TEXT    NOT NULL DEFAULT '',
    queued_at         INTEGER NOT NULL,
    expires_at        INTEGER NOT NULL,
    -- When a worker should look again: not before, or until when leased. NULL once settled.
    due_at            INTEGER,
    settled_at        INTEGER,
    app_id            TEXT    NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE notices (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    notice  TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    subject BLOB    NOT NULL,
    told    TEXT    NOT NULL,
    token   INTEGER NOT NULL DEFAULT 0,
    due_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE events (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    at           INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    app_id       TEXT    NOT NULL DEFAULT '',
    channel      TEXT    NOT NULL DEFAULT '',
    purpose      TEXT    NOT NULL DEFAULT '',
    challenge_id TEXT    NOT NULL DEFAULT '',
    subject      BLOB    NOT NULL DEFAULT x'',
    masked       TEXT    NOT NULL DEFAULT '',
    details      TEXT    NOT NULL DEFAULT '{}'
) STRICT;

INSERT INTO deliveries
SELECT id, challenge, channel, provider, state, token, tries, minutes, recipient, code,
       cancel_if_refused, reference, reason, queued_at, expires_at, due_at, settled_at, app_id
FROM old_deliveries ORDER BY id;
INSERT INTO notices
SELECT id, webhook, key, notice, at, subject, told, token, due_at FROM old_notices ORDER BY id;
INSERT INTO events
SELECT id, at, kind, app_id, channel, purpose, challenge_id, subject, masked, details
FROM old_events ORDER BY id;

DROP TABLE old_deliveries;
DROP TABLE old_notices;
DROP TABLE old_events;

CREATE INDEX deliveries_due ON deliveries (channel, app_id, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_by_challenge ON deliveries (challenge);
CREATE INDEX notices_due ON notices (webhook, due_at);

-- However a challenge or a message ends, its end is told.
CREATE TRIGGER tell_challenge AFTER UPDATE OF state ON challenges WHEN new.state <> old.state
BEGIN
    INSERT INTO events (at, kind, app_id, channel, purpose, challenge_id, subject, masked)
    VALUES (coalesce(new.closed_at, new.expires_at), new.state, new.app_id, new.channel,
            new.purpose, new.id, new.destination, new.masked);
END;

CREATE TRIGGER tell_message AFTER UPDATE OF state ON deliveries
WHEN new.state <> old.state AND new.state NOT IN ('queued', 'leased', 'sending')
BEGIN
    INSERT INTO events (
        at, kind, app_id, channel, purpose, challenge_id, subject, masked, details)
    SELECT coalesce(new.settled_at, new.queued_at),
           'message_' || iif(new.state = 'failed', 'refused', new.state),
           c.app_id, new.channel, c.purpose, c.id, c.destination, c.masked,
           json_object('delivery', new.id, 'provider', new.provider)
    FROM challenges c WHERE c.serial = new.challenge;
END;
