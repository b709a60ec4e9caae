-- What webhooks are still to be told. `due_at` is when to post it, or until when it is leased.
CREATE TABLE notices (
    id      INTEGER PRIMARY KEY,
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
