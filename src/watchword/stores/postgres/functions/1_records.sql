-- Conditional record writes. Kinds, keys and the rest stand side by side, one element a write;
-- version 0 asks that the record be absent, a body of NULL deletes.

CREATE OR REPLACE FUNCTION watchword.apply(
    _at bigint, _kinds text[], _keys text[], _versions bigint[], _bodies bytea[], _ends_at bigint[]
) RETURNS int LANGUAGE plpgsql AS $$
-- Which write is the first that does not fit; NULL when all were done. Its caller undoes the others.
DECLARE
    i int;
BEGIN
    FOR i IN 1 .. cardinality(_kinds) LOOP
        IF _bodies[i] IS NULL THEN
            DELETE FROM watchword.records r
            WHERE r.kind = _kinds[i] AND r.key = _keys[i] AND r.version = _versions[i]
              AND (r.expires_at IS NULL OR r.expires_at > _at);
        ELSIF _versions[i] = 0 THEN
            -- One whose time is over is as good as absent.
            INSERT INTO watchword.records AS r (kind, key, version, body, expires_at)
            VALUES (_kinds[i], _keys[i], 1, _bodies[i], _ends_at[i])
            ON CONFLICT (kind, key) DO UPDATE
            SET version = 1, body = excluded.body, expires_at = excluded.expires_at
            WHERE r.expires_at <= _at;
        ELSE
            UPDATE watchword.records r
            SET version = r.version + 1, body = _bodies[i], expires_at = _ends_at[i]
            WHERE r.kind = _kinds[i] AND r.key = _keys[i] AND r.version = _versions[i]
              AND (r.expires_at IS NULL OR r.expires_at > _at);
        END IF;
        IF NOT FOUND THEN
            RETURN i;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION watchword.write(
    _at bigint, _kinds text[], _keys text[], _versions bigint[], _bodies bytea[], _ends_at bigint[]
) RETURNS int LANGUAGE plpgsql AS $$
-- All or none: which write is the first that does not fit, NULL when all were done.
DECLARE
    _misfit int;
BEGIN
    _misfit := watchword.apply(_at, _kinds, _keys, _versions, _bodies, _ends_at);
    IF _misfit > 1 THEN
        RAISE EXCEPTION USING ERRCODE = 'WW001';
    END IF;
    RETURN _misfit;
EXCEPTION WHEN SQLSTATE 'WW001' THEN
    RETURN _misfit;
END $$;
