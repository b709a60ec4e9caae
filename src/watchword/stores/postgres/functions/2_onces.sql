-- Idempotency keys: claimed before anything else is held, answered with the act.

CREATE OR REPLACE FUNCTION watchword.recall(_key bytea, _request bytea, _at bigint, _until bigint)
RETURNS json LANGUAGE plpgsql AS $$
-- The answer already given under this key, or that the key was used for something else. NULL when it
-- is ours: whoever comes with it now waits for us.
DECLARE
    _found watchword.onces;
BEGIN
    LOOP
        INSERT INTO watchword.onces AS o (key, request, expires_at) VALUES (_key, _request, _until)
        ON CONFLICT (key) DO UPDATE
        SET request = excluded.request, answer = NULL, expires_at = excluded.expires_at
        WHERE o.expires_at <= _at;
        IF FOUND THEN
            RETURN NULL;
        END IF;
        SELECT * INTO _found FROM watchword.onces o WHERE o.key = _key AND o.expires_at > _at;
        IF FOUND THEN
            IF _found.request <> _request THEN
                RETURN '["reused"]';
            END IF;
            RETURN json_build_array('again', _found.answer);
        END IF;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION watchword.remember(_key bytea, _answer json, _is_kept boolean)
RETURNS void LANGUAGE plpgsql AS $$
-- Answer a key that was claimed; a refusal gives it back.
BEGIN
    IF _is_kept THEN
        UPDATE watchword.onces o SET answer = _answer WHERE o.key = _key;
    ELSE
        DELETE FROM watchword.onces o WHERE o.key = _key;
    END IF;
END $$;
