-- The journal. An act writes its event as it commits; a scribe moves it into a chain.
CREATE TABLE events (
    id           INTEGER PRIMARY KEY,
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
