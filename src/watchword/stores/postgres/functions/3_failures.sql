-- The failure budget of a destination, in all and from one network. A budget is an array: window,
-- amount per network, amount per destination, failures in a row, rest, how long failures are kept,
-- and 1 for a hard stop.

CREATE OR REPLACE FUNCTION watchword.failure_wait(
    _instants bigint[], _streak int, _amount bigint, _budget bigint[], _at bigint
) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
-- domain.failures.Failures.wait: how long until a check is heard again, NULL when it is heard now.
DECLARE
    _last bigint := _instants[cardinality(_instants)];
    _frees_at bigint;
BEGIN
    IF _last IS NULL OR _last + _budget[6] <= _at THEN
        RETURN NULL;
    END IF;
    IF _streak >= _budget[4] THEN
        IF _budget[7] = 1 THEN
            RETURN _last + _budget[6] - _at;
        END IF;
        IF _last + _budget[5] > _at THEN
            RETURN _last + _budget[5] - _at;
        END IF;
    END IF;
    IF cardinality(_instants) < _amount THEN
        RETURN NULL;
    END IF;
    _frees_at := _instants[cardinality(_instants) - _amount + 1] + _budget[1];
    IF _frees_at > greatest(_at, _last) THEN
        RETURN _frees_at - _at;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION watchword.hold(
    _destination bytea, _network bytea, _budget bigint[], _at bigint, _is_likely_new boolean,
    OUT is_new boolean, OUT failed boolean, OUT wait bigint, OUT amount bigint
) LANGUAGE plpgsql AS $$
-- Hold a destination until the act is over: whoever else acts on it waits, and nobody else does. Says
-- whether it was made here, whether it has failures, and how long it is refused for them.
DECLARE
    _instants bigint[];
    _streak int;
    _other bigint;
BEGIN
    is_new := false;
    failed := false;
    LOOP
        IF _is_likely_new THEN
            INSERT INTO watchword.destinations (destination, idle_at)
            VALUES (_destination, _at + 86400000000) ON CONFLICT DO NOTHING;
            is_new := FOUND;
            IF is_new THEN
                RETURN;
            END IF;
        END IF;
        SELECT d.instants, d.streak INTO _instants, _streak
        FROM watchword.destinations d WHERE d.destination = _destination FOR UPDATE;
        EXIT WHEN FOUND;
        _is_likely_new := true;
    END LOOP;
    IF _streak = 0 THEN
        RETURN;
    END IF;
    failed := true;
    amount := _budget[3];
    wait := watchword.failure_wait(_instants, _streak, amount, _budget, _at);
    IF _network = '' THEN
        RETURN;
    END IF;
    SELECT watchword.failure_wait(f.instants, f.streak, _budget[2], _budget, _at) INTO _other
    FROM watchword.failures f WHERE f.destination = _destination AND f.network = _network;
    IF _other > coalesce(wait, 0) THEN
        wait := _other;
        amount := _budget[2];
    END IF;
END $$;

CREATE OR REPLACE FUNCTION watchword.fail(
    _destination bytea, _network bytea, _budget bigint[], _at bigint
) RETURNS void LANGUAGE plpgsql AS $$
-- domain.failures.Failures.and_one, for a destination that is held. Time never runs backwards.
BEGIN
    UPDATE watchword.destinations d
    SET (instants, streak) = (
            SELECT watchword.and_one(d.instants, _budget[3], _budget, _at),
                   watchword.streak(d.instants, d.streak, _budget, _at) + 1),
        idle_at = greatest(_at, d.instants[cardinality(d.instants)]) + _budget[6]
    WHERE d.destination = _destination;
    IF _network <> '' THEN
        INSERT INTO watchword.failures AS f (destination, network, instants, streak, idle_at)
        VALUES (_destination, _network, ARRAY[_at], 1, _at + _budget[6])
        ON CONFLICT (destination, network) DO UPDATE
        SET instants = watchword.and_one(f.instants, _budget[2], _budget, _at),
            streak = watchword.streak(f.instants, f.streak, _budget, _at) + 1,
            idle_at = greatest(_at, f.instants[cardinality(f.instants)]) + _budget[6];
    END IF;
END $$;

CREATE OR REPLACE FUNCTION watchword.and_one(
    _instants bigint[], _amount bigint, _budget bigint[], _at bigint
) RETURNS bigint[] LANGUAGE plpgsql IMMUTABLE AS $$
-- The latest instants, at most so many, with one more; what is past memory is forgotten.
DECLARE
    _last bigint := _instants[cardinality(_instants)];
BEGIN
    IF _last IS NULL OR _last + _budget[6] <= _at THEN
        RETURN ARRAY[_at];
    END IF;
    RETURN _instants[greatest(1, cardinality(_instants) - _amount + 2) :] || greatest(_at, _last);
END $$;

CREATE OR REPLACE FUNCTION watchword.streak(
    _instants bigint[], _streak int, _budget bigint[], _at bigint
) RETURNS int LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN _instants[cardinality(_instants)] + _budget[6] <= _at THEN 0 ELSE _streak END
$$;

CREATE OR REPLACE FUNCTION watchword.forgive(_destination bytea) RETURNS void LANGUAGE plpgsql AS $$
-- Forget every failure of a destination, from wherever it came.
BEGIN
    UPDATE watchword.destinations d SET instants = '{}', streak = 0 WHERE d.destination = _destination;
    DELETE FROM watchword.failures f WHERE f.destination = _destination;
END $$;

CREATE OR REPLACE FUNCTION watchword.unlock(_destination bytea) RETURNS boolean LANGUAGE plpgsql AS $$
-- Whether there were any.
DECLARE
    _streak int;
BEGIN
    SELECT d.streak INTO _streak
    FROM watchword.destinations d WHERE d.destination = _destination FOR UPDATE;
    PERFORM watchword.forgive(_destination);
    RETURN coalesce(_streak, 0) > 0;
END $$;
