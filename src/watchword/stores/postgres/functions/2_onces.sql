-- Idempotency keys. Acts under one key come one after the other, and hold it before anything else.

CREATE OR REPLACE FUNCTION watchword.recall(_key bytea, _request bytea, _at bigint)
RETURNS json LANGUAGE plpgsql AS $$
-- The answer already given under this key, or that the key was used for something else; NULL when it
-- is ours to answer. An answer given again is held, so that it waits for a synchronous standby like
-- the first one: reading alone would not.
DECLARE
    _found record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(encode(_key, 'hex'), 0));
    SELECT o.request, o.answer INTO _found
    FROM watchword.onces o WHERE o.key = _key AND o.expires_at > _at FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF _found.request <> _request THEN
        RETURN '["reused"]';
    END IF;
    RETURN json_build_array('again', _found.answer);
END $$;

CREATE OR REPLACE FUNCTION watchword.remember(
    _key bytea, _request bytea, _until bigint, _answer json
) RETURNS void LANGUAGE plpgsql AS $$
-- A key whose day is over may be used anew.
BEGIN
    INSERT INTO watchword.onces (key, request, answer, expires_at)
    VALUES (_key, _request, _answer, _until)
    ON CONFLICT (key) DO UPDATE SET
        request = excluded.request, answer = excluded.answer, expires_at = excluded.expires_at;
END $$;
