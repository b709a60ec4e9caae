-- The whole schema, as the migrations add up to. Instants are microseconds since 1970 in UTC.
-- AUTOINCREMENT: whoever still holds the id of a row that is gone meets no other one under it.

CREATE TABLE challenges (
    -- The 60 bits in the middle of its id.
    serial       INTEGER PRIMARY KEY,
    id           TEXT    NOT NULL,
    slot         BLOB    NOT NULL,
    app_id       TEXT    NOT NULL,
    purpose      TEXT    NOT NULL,
    channel      TEXT    NOT NULL,
    destination  BLOB    NOT NULL,
    subject      BLOB    NOT NULL,
    masked       TEXT    NOT NULL,
    recipient    BLOB    NOT NULL,
    code_length  INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    state        TEXT    NOT NULL,
    draws        BLOB    NOT NULL,
    opened_at    INTEGER NOT NULL,
    resend_at    INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    closed_at    INTEGER
) STRICT;

-- Only the last challenge of a slot may be open.
CREATE INDEX challenges_by_slot ON challenges (slot);
CREATE INDEX challenges_by_expiry ON challenges (expires_at);

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

CREATE INDEX deliveries_due ON deliveries (channel, app_id, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_by_challenge ON deliveries (challenge);

-- Trailing quotas: the instants at which a counter was spent, 32 a page. The newest page is -1 and
-- knows how many came before it; full ones are filed under 0, 1, 2 ... A ring, unrolled: pages that
-- no quota can ask for are deleted.
CREATE TABLE spent (
    counter  BLOB    NOT NULL,
    page     INTEGER NOT NULL,
    before   INTEGER NOT NULL,
    instants BLOB    NOT NULL,
    idle_at  INTEGER NOT NULL,
    PRIMARY KEY (counter, page)
) STRICT, WITHOUT ROWID;

-- Calendar quotas: how many in the latest window seen.
CREATE TABLE tallies (
    counter   BLOB    PRIMARY KEY NOT NULL,
    opens_at  INTEGER NOT NULL,
    closes_at INTEGER NOT NULL,
    amount    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Wrong codes per destination (network empty) and per destination and network.
CREATE TABLE failures (
    destination BLOB    NOT NULL,
    network     BLOB    NOT NULL,
    instants    BLOB    NOT NULL,
    streak      INTEGER NOT NULL,
    idle_at     INTEGER NOT NULL,
    PRIMARY KEY (destination, network)
) STRICT, WITHOUT ROWID;

-- Idempotency keys and the answers given under them.
CREATE TABLE onces (
    row        INTEGER PRIMARY KEY,
    key        BLOB    NOT NULL UNIQUE,
    request    BLOB    NOT NULL,
    answer     BLOB    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE records (
    kind       TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    body       BLOB    NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX records_by_expiry ON records (expires_at) WHERE expires_at IS NOT NULL;

-- What webhooks are still to be told. `due_at` is when to post it, or until when it is leased.
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

CREATE INDEX notices_due ON notices (webhook, due_at);

-- The journal. An act writes its event as it commits; a scribe moves it into a chain.
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

-- One a process and day. Number 0 is the roll, which counts them.
CREATE TABLE chains (
    number   INTEGER PRIMARY KEY,
    day      TEXT    NOT NULL,
    entries  INTEGER NOT NULL,
    last     BLOB    NOT NULL,
    standing TEXT    NOT NULL,
    mac      BLOB    NOT NULL
) STRICT;

-- Of what was erased, commitment and mac stay.
CREATE TABLE journal (
    chain      INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    commitment BLOB    NOT NULL,
    mac        BLOB    NOT NULL,
    salt       BLOB,
    body       BLOB,
    subject    BLOB,
    erased     BLOB,
    PRIMARY KEY (chain, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX journal_by_subject ON journal (subject) WHERE subject IS NOT NULL;

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
