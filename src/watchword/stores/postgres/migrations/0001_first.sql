-- Instants are microseconds since 1970 in UTC, spans are microseconds.

CREATE TABLE watchword.challenges (
    -- The 60 bits in the middle of its id.
    serial       bigint PRIMARY KEY,
    id           text   NOT NULL,
    slot         bytea  NOT NULL,
    app_id       text   NOT NULL,
    purpose      text   NOT NULL,
    channel      text   NOT NULL,
    destination  bytea  NOT NULL,
    subject      bytea  NOT NULL,
    masked       text   NOT NULL,
    recipient    bytea  NOT NULL,
    code_length  int    NOT NULL,
    max_attempts int    NOT NULL,
    attempts     int    NOT NULL DEFAULT 0,
    state        text   NOT NULL DEFAULT 'pending',
    -- Its draws, oldest first, one array a field.
    digests      bytea[]  NOT NULL,
    drawn_at     bigint[] NOT NULL,
    dies_at      bigint[] NOT NULL,
    sealed       bytea[]  NOT NULL,
    opened_at    bigint NOT NULL,
    resend_at    bigint NOT NULL,
    expires_at   bigint NOT NULL,
    closed_at    bigint
) WITH (
    -- Room in each page for the version that an attempt writes, and a vacuum that comes often and
    -- finds little, instead of seldom and for long. So for every table here.
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000
);

-- Only the last challenge of a slot may be open.
CREATE INDEX challenges_by_slot ON watchword.challenges (slot, serial);
CREATE INDEX challenges_by_expiry ON watchword.challenges (expires_at, serial);

CREATE TABLE watchword.deliveries (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    challenge         bigint  NOT NULL,
    channel           text    NOT NULL,
    provider          text    NOT NULL DEFAULT '',
    state             text    NOT NULL DEFAULT 'queued',
    token             int     NOT NULL DEFAULT 0,
    tries             int     NOT NULL DEFAULT 0,
    minutes           int     NOT NULL,
    recipient         bytea   NOT NULL,
    code              bytea   NOT NULL,
    cancel_if_refused boolean NOT NULL,
    reference         text    NOT NULL DEFAULT '',
    reason            text    NOT NULL DEFAULT '',
    queued_at         bigint  NOT NULL,
    expires_at        bigint  NOT NULL,
    -- When a worker should look again: not before, or until when leased. NULL once settled.
    due_at            bigint,
    settled_at        bigint
) WITH (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000
);

CREATE INDEX deliveries_due ON watchword.deliveries (channel, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_by_challenge ON watchword.deliveries (challenge);

-- A destination: what all acts on it hold while they run, and the failures it has in all.
CREATE TABLE watchword.destinations (
    destination bytea    PRIMARY KEY,
    instants    bigint[] NOT NULL DEFAULT '{}',
    streak      int      NOT NULL DEFAULT 0,
    idle_at     bigint   NOT NULL
) WITH (
    fillfactor = 90, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000
);

-- Its failures by client network.
CREATE TABLE watchword.failures (
    destination bytea    NOT NULL,
    network     bytea    NOT NULL,
    instants    bigint[] NOT NULL,
    streak      int      NOT NULL,
    idle_at     bigint   NOT NULL,
    PRIMARY KEY (destination, network)
) WITH (fillfactor = 90);

-- Trailing quotas: rings of the instants at which a counter was spent. Kind 0 has one share, and its
-- quotas have their instants in common; any other kind is the span of one quota, whose amount is split
-- into shares, so that whoever finds one held spends of another.
CREATE TABLE watchword.trails (
    counter  bytea    NOT NULL,
    kind     bigint   NOT NULL,
    share    int      NOT NULL,
    amount   bigint   NOT NULL,
    newest   bigint   NOT NULL DEFAULT 0,
    idle_at  bigint   NOT NULL,
    instants bigint[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (counter, kind, share)
) WITH (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000
);

-- Calendar quotas: how many in the latest window seen, split in the same way.
CREATE TABLE watchword.tallies (
    counter   bytea  NOT NULL,
    share     int    NOT NULL,
    amount    bigint NOT NULL,
    opens_at  bigint NOT NULL DEFAULT 0,
    closes_at bigint NOT NULL DEFAULT 0,
    spent     bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (counter, share)
) WITH (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000
);

-- Idempotency keys and the answers given under them.
CREATE TABLE watchword.onces (
    key        bytea  PRIMARY KEY,
    request    bytea  NOT NULL,
    answer     json   NOT NULL,
    expires_at bigint NOT NULL
) WITH (
    fillfactor = 90, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000
);

CREATE INDEX onces_by_expiry ON watchword.onces (expires_at);

CREATE TABLE watchword.records (
    kind       text   NOT NULL,
    key        text   NOT NULL,
    version    bigint NOT NULL,
    body       bytea  NOT NULL,
    expires_at bigint,
    PRIMARY KEY (kind, key)
);

CREATE INDEX records_by_expiry ON watchword.records (expires_at) WHERE expires_at IS NOT NULL;

-- functions 80f215d88e726a4d
