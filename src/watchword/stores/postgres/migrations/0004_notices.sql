-- What webhooks are still to be told. `due_at` is when to post it, or until when it is leased.
CREATE TABLE watchword.notices (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook text   NOT NULL,
    key     text   NOT NULL,
    notice  text   NOT NULL,
    at      bigint NOT NULL,
    subject bytea  NOT NULL,
    told    text   NOT NULL,
    token   int    NOT NULL DEFAULT 0,
    due_at  bigint NOT NULL
) WITH (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000
);

CREATE INDEX notices_due ON watchword.notices (webhook, due_at);

-- functions a691b4f1d5a32c25
