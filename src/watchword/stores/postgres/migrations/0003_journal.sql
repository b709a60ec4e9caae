-- The journal. An act writes its event as it commits; a scribe moves it into a chain.
CREATE TABLE watchword.events (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           bigint NOT NULL,
    kind         text   NOT NULL,
    app_id       text   NOT NULL DEFAULT '',
    channel      text   NOT NULL DEFAULT '',
    purpose      text   NOT NULL DEFAULT '',
    challenge_id text   NOT NULL DEFAULT '',
    subject      bytea  NOT NULL DEFAULT '',
    masked       text   NOT NULL DEFAULT '',
    details      text   NOT NULL DEFAULT '{}'
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000);

-- One a process and day. Number 0 is the roll, which counts them.
CREATE TABLE watchword.chains (
    number   bigint PRIMARY KEY,
    day      text   NOT NULL,
    entries  bigint NOT NULL,
    last     bytea  NOT NULL,
    standing text   NOT NULL,
    mac      bytea  NOT NULL
) WITH (fillfactor = 50);

-- Of what was erased, commitment and mac stay.
CREATE TABLE watchword.journal (
    chain      bigint NOT NULL,
    position   bigint NOT NULL,
    commitment bytea  NOT NULL,
    mac        bytea  NOT NULL,
    salt       bytea,
    body       bytea,
    subject    bytea,
    erased     bytea,
    PRIMARY KEY (chain, position)
);

CREATE INDEX journal_by_subject ON watchword.journal (subject) WHERE subject IS NOT NULL;
