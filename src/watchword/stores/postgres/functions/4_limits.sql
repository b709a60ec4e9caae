-- Quotas, as the rings that count them. Parallel arrays have an element for each ring: its counter,
-- its kind, its shares, where its quotas begin among the amounts and spans (with one more element for
-- the end), the longest of the spans and the largest of the amounts, and the bounds of its calendar
-- window. Kinds: 0 is a ring of one share, whose trailing
-- quotas have their instants in common; -1 counts a calendar window; any other is the span of one
-- trailing quota that many destinations share.
--
-- A quota of n that many share is split into k shares, whose capacities add up to n. A send spends of
-- any share with room that nobody holds. The quota is never exceeded, for no share is; and nobody is
-- refused too early, for only a look at all shares refuses. Where fewer units are left than sends are
-- under way, one may wait for another's COMMIT, and nowhere else.

CREATE OR REPLACE FUNCTION watchword.capacity(_amount bigint, _shares int, _share int)
RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT _amount / _shares + (_share < _amount % _shares)::int
$$;

CREATE OR REPLACE FUNCTION watchword.frees_at(_instants bigint[], _amount bigint, _span bigint)
RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    -- From when on there is room for one more in so many a span.
    SELECT coalesce(_instants[(cardinality(_instants) + 1 - _amount)::int] + _span, 0)
$$;

CREATE OR REPLACE FUNCTION watchword.look_at_ring(
    _at bigint, _instants bigint[], _first int, _end int, _amounts bigint[], _spans bigint[],
    INOUT waits bigint[]
) LANGUAGE plpgsql IMMUTABLE AS $$
-- How long until each quota of a ring of one share has room, 0 where it has some.
DECLARE
    _clock bigint := greatest(_at, _instants[cardinality(_instants)]);
    _frees_at bigint;
BEGIN
    FOR q IN _first .. _end LOOP
        _frees_at := _instants[(cardinality(_instants) + 1 - _amounts[q])::int] + _spans[q];
        waits[q] := CASE WHEN _frees_at > _clock THEN _frees_at - _at ELSE 0 END;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION watchword.wait_for_trail(
    _at bigint, _counter bytea, _span bigint, _amount bigint, _shares int
) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
-- How long until a share of a trailing quota has room, 0 where one has. One that is not there has all
-- its room. Each goes by the latest instant that it has seen.
DECLARE
    _present int;
    _has_room boolean;
    _frees_at bigint;
BEGIN
    SELECT count(*), bool_or(f.frees_at <= greatest(_at, t.newest)), min(f.frees_at)
    INTO _present, _has_room, _frees_at
    FROM watchword.trails t, watchword.frees_at(
        t.instants, watchword.capacity(_amount, _shares, t.share), _span) f (frees_at)
    WHERE t.counter = _counter AND t.kind = _span AND t.share < _shares;
    IF _present < _shares OR _has_room THEN
        RETURN 0;
    END IF;
    RETURN _frees_at - _at;
END $$;

CREATE OR REPLACE FUNCTION watchword.wait_for_tally(
    _at bigint, _counter bytea, _opens_at bigint, _closes_at bigint, _amount bigint, _shares int
) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
-- The same for a calendar quota. A clock that steps back stays in the later window.
DECLARE
    _present int;
    _has_room boolean;
    _ends_at bigint;
BEGIN
    SELECT count(*), bool_or(t.opens_at < _opens_at
                             OR t.spent < watchword.capacity(_amount, _shares, t.share)),
           min(greatest(_closes_at, t.closes_at))
    INTO _present, _has_room, _ends_at
    FROM watchword.tallies t WHERE t.counter = _counter AND t.share < _shares;
    IF _present < _shares OR _has_room THEN
        RETURN 0;
    END IF;
    RETURN _ends_at - _at;
END $$;

CREATE OR REPLACE FUNCTION watchword.look(
    _at bigint, _counters bytea[], _kinds bigint[], _shares int[], _firsts int[], _amounts bigint[],
    _spans bigint[], _longest bigint[], _largest bigint[], _opens_at bigint[], _closes_at bigint[],
    OUT waits bigint[], OUT is_begun boolean
) LANGUAGE plpgsql STABLE AS $$
-- How long until each quota has room, 0 where it has some; and whether anything is counted on any.
-- Holds nothing.
DECLARE
    _instants bigint[];
    _newest bigint;
    q int;
BEGIN
    is_begun := false;
    FOR r IN 1 .. cardinality(_counters) LOOP
        q := _firsts[r];
        IF _kinds[r] = 0 THEN
            SELECT t.instants, t.newest INTO _instants, _newest
            FROM watchword.trails t WHERE t.counter = _counters[r] AND t.kind = 0;
            waits := watchword.look_at_ring(
                _at, _instants, q, _firsts[r + 1] - 1, _amounts, _spans, waits);
            is_begun := is_begun
                OR coalesce(_newest + _longest[r] > greatest(_at, _newest), false);
        ELSIF _kinds[r] > 0 THEN
            waits[q] := watchword.wait_for_trail(
                _at, _counters[r], _kinds[r], _amounts[q], _shares[r]);
            is_begun := is_begun OR EXISTS (
                SELECT FROM watchword.trails t WHERE t.counter = _counters[r] AND t.kind = _kinds[r]
                AND t.newest + _kinds[r] > greatest(_at, t.newest));
        ELSE
            waits[q] := watchword.wait_for_tally(
                _at, _counters[r], _opens_at[r], _closes_at[r], _amounts[q], _shares[r]);
            is_begun := is_begun OR EXISTS (
                SELECT FROM watchword.tallies t
                WHERE t.counter = _counters[r] AND t.opens_at >= _opens_at[r] AND t.spent > 0);
        END IF;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION watchword.deal_trail(
    _counter bytea, _span bigint, _amount bigint, _shares int, _at bigint
) RETURNS void LANGUAGE plpgsql AS $$
-- Where another amount was granted before, deal what was spent of it to the shares of this one. One
-- does it, and the others find it done.
DECLARE
    _spent bigint[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(encode(_counter, 'hex'), _span));
    IF NOT EXISTS (SELECT FROM watchword.trails t
                   WHERE t.counter = _counter AND t.kind = _span AND t.amount <> _amount) THEN
        RETURN;
    END IF;
    INSERT INTO watchword.trails (counter, kind, share, amount, idle_at)
    SELECT _counter, _span, s, _amount, _at + _span FROM generate_series(0, _shares - 1) s
    ON CONFLICT DO NOTHING;
    PERFORM FROM watchword.trails t WHERE t.counter = _counter AND t.kind = _span
    ORDER BY t.share FOR UPDATE;
    -- All that still counts, be it more than the amount: who grants more may come next.
    SELECT array_agg(i ORDER BY i DESC) INTO _spent
    FROM watchword.trails t, unnest(t.instants) i
    WHERE t.counter = _counter AND t.kind = _span AND i + _span > greatest(_at, t.newest);
    DELETE FROM watchword.trails t
    WHERE t.counter = _counter AND t.kind = _span AND t.share >= _shares;
    UPDATE watchword.trails t
    SET amount = _amount, instants = coalesce(dealt.instants, '{}'),
        newest = coalesce(_spent[1], 0), idle_at = coalesce(_spent[1], _at) + _span
    FROM generate_series(0, _shares - 1) s LEFT JOIN LATERAL (
        SELECT array_agg(x.i ORDER BY x.i) AS instants FROM unnest(_spent) WITH ORDINALITY x (i, n)
        WHERE (x.n - 1) % _shares = s) dealt ON true
    WHERE t.counter = _counter AND t.kind = _span AND t.share = s;
END $$;

CREATE OR REPLACE FUNCTION watchword.deal_tally(_counter bytea, _amount bigint, _shares int)
RETURNS void LANGUAGE plpgsql AS $$
-- The same for a calendar quota.
DECLARE
    _opens_at bigint;
    _closes_at bigint;
    _spent bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(encode(_counter, 'hex'), -1));
    IF NOT EXISTS (SELECT FROM watchword.tallies t
                   WHERE t.counter = _counter AND t.amount <> _amount) THEN
        RETURN;
    END IF;
    INSERT INTO watchword.tallies (counter, share, amount)
    SELECT _counter, s, _amount FROM generate_series(0, _shares - 1) s ON CONFLICT DO NOTHING;
    PERFORM FROM watchword.tallies t WHERE t.counter = _counter ORDER BY t.share FOR UPDATE;
    SELECT max(t.opens_at), max(t.closes_at) INTO _opens_at, _closes_at
    FROM watchword.tallies t WHERE t.counter = _counter;
    SELECT sum(t.spent) INTO _spent FROM watchword.tallies t
    WHERE t.counter = _counter AND t.opens_at = _opens_at;
    DELETE FROM watchword.tallies t WHERE t.counter = _counter AND t.share >= _shares;
    UPDATE watchword.tallies t
    SET amount = _amount, opens_at = _opens_at, closes_at = _closes_at,
        spent = watchword.capacity(_spent, _shares, t.share)
    WHERE t.counter = _counter;
END $$;

CREATE OR REPLACE FUNCTION watchword.is_nobodys(_counter bytea, _kind bigint, _share int)
RETURNS boolean LANGUAGE sql AS $$
    -- Whether nobody else is making this share at this moment.
    SELECT pg_try_advisory_xact_lock(hashtextextended(encode(_counter, 'hex') || _share, _kind))
$$;

CREATE OR REPLACE FUNCTION watchword.hold_share_of_trail(
    _at bigint, _counter bytea, _span bigint, _amount bigint, _shares int,
    OUT share int, OUT is_new boolean, OUT wait bigint
) LANGUAGE plpgsql AS $$
-- Hold a share that has room: one that nobody holds, else a new one with this unit spent already; where
-- all are there, say the wait, or wait for somebody else's.
DECLARE
    _present int;
    _is_other boolean;
    _is_patient boolean := false;  -- all that are missing are being made: wait for one
BEGIN
    is_new := false;
    wait := 0;
    LOOP
        SELECT t.share INTO share FROM watchword.trails t
        WHERE t.counter = _counter AND t.kind = _span AND t.amount = _amount
          AND watchword.frees_at(t.instants, watchword.capacity(_amount, _shares, t.share), _span)
              <= greatest(_at, t.newest)
        LIMIT 1 FOR UPDATE SKIP LOCKED;
        EXIT WHEN FOUND;
        -- Most networks come once: the first share of a counter is made in one go.
        INSERT INTO watchword.trails AS t (counter, kind, share, amount, newest, idle_at, instants)
        SELECT _counter, _span, s, _amount, _at, _at + _span, ARRAY[_at]
        FROM (SELECT floor(random() * _shares)::int AS s OFFSET 0) one
        WHERE NOT EXISTS (SELECT FROM watchword.trails o
                          WHERE o.counter = _counter AND o.kind = _span)
          AND watchword.is_nobodys(_counter, _span, s)
        ON CONFLICT DO NOTHING RETURNING t.share INTO share;
        is_new := FOUND;
        EXIT WHEN is_new;
        SELECT count(*), bool_or(t.amount <> _amount) INTO _present, _is_other
        FROM watchword.trails t WHERE t.counter = _counter AND t.kind = _span;
        IF _is_other THEN
            PERFORM watchword.deal_trail(_counter, _span, _amount, _shares, _at);
            CONTINUE;
        END IF;
        IF _present < _shares THEN
            INSERT INTO watchword.trails AS t (counter, kind, share, amount, newest, idle_at, instants)
            SELECT _counter, _span, s, _amount, _at, _at + _span, ARRAY[_at]
            FROM (SELECT s FROM generate_series(0, _shares - 1) s
                  WHERE NOT EXISTS (SELECT FROM watchword.trails o
                                    WHERE o.counter = _counter AND o.kind = _span AND o.share = s)
                  ORDER BY random() OFFSET 0) missing
            WHERE _is_patient OR watchword.is_nobodys(_counter, _span, s) LIMIT 1
            ON CONFLICT DO NOTHING RETURNING t.share INTO share;
            is_new := FOUND;
            EXIT WHEN is_new;
            _is_patient := true;
            CONTINUE;
        END IF;
        wait := watchword.wait_for_trail(_at, _counter, _span, _amount, _shares);
        EXIT WHEN wait > 0;
        -- Wait for one share, found anew each time; one that turns out to be spent is let go, for who
        -- holds several may wait in a circle.
        BEGIN
            SELECT t.share INTO share FROM watchword.trails t
            WHERE t.counter = _counter AND t.kind = _span AND t.amount = _amount
              AND watchword.frees_at(
                      t.instants, watchword.capacity(_amount, _shares, t.share), _span)
                  <= greatest(_at, t.newest)
            ORDER BY random() LIMIT 1;
            PERFORM FROM watchword.trails t
            WHERE t.counter = _counter AND t.kind = _span AND t.amount = _amount
              AND t.share = hold_share_of_trail.share
              AND watchword.frees_at(
                      t.instants, watchword.capacity(_amount, _shares, t.share), _span)
                  <= greatest(_at, t.newest)
            FOR UPDATE;
            IF NOT FOUND THEN
                RAISE EXCEPTION USING ERRCODE = 'WW003';
            END IF;
            EXIT;
        EXCEPTION WHEN SQLSTATE 'WW003' THEN
            CONTINUE;
        END;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION watchword.hold_share_of_tally(
    _at bigint, _counter bytea, _opens_at bigint, _closes_at bigint, _amount bigint, _shares int,
    OUT share int, OUT is_new boolean, OUT wait bigint
) LANGUAGE plpgsql AS $$
-- The same for a calendar quota.
DECLARE
    _present int;
    _is_other boolean;
    _is_patient boolean := false;  -- all that are missing are being made: wait for one
BEGIN
    is_new := false;
    wait := 0;
    LOOP
        SELECT t.share INTO share FROM watchword.tallies t
        WHERE t.counter = _counter AND t.amount = _amount
          AND (t.opens_at < _opens_at
               OR t.spent < watchword.capacity(_amount, _shares, t.share))
        LIMIT 1 FOR UPDATE SKIP LOCKED;
        EXIT WHEN FOUND;
        INSERT INTO watchword.tallies AS t (counter, share, amount, opens_at, closes_at, spent)
        SELECT _counter, s, _amount, _opens_at, _closes_at, 1
        FROM (SELECT floor(random() * _shares)::int AS s OFFSET 0) one
        WHERE NOT EXISTS (SELECT FROM watchword.tallies o WHERE o.counter = _counter)
          AND watchword.is_nobodys(_counter, -1, s)
        ON CONFLICT DO NOTHING RETURNING t.share INTO share;
        is_new := FOUND;
        EXIT WHEN is_new;
        SELECT count(*), bool_or(t.amount <> _amount) INTO _present, _is_other
        FROM watchword.tallies t WHERE t.counter = _counter;
        IF _is_other THEN
            PERFORM watchword.deal_tally(_counter, _amount, _shares);
            CONTINUE;
        END IF;
        IF _present < _shares THEN
            -- A clock that steps back stays in the later window.
            INSERT INTO watchword.tallies AS t (counter, share, amount, opens_at, closes_at, spent)
            SELECT _counter, s, _amount, greatest(_opens_at, seen.opens_at),
                   greatest(_closes_at, seen.closes_at), 1
            FROM (SELECT s FROM generate_series(0, _shares - 1) s
                  WHERE NOT EXISTS (SELECT FROM watchword.tallies o
                                    WHERE o.counter = _counter AND o.share = s)
                  ORDER BY random() OFFSET 0) missing,
                 (SELECT max(o.opens_at) AS opens_at, max(o.closes_at) AS closes_at
                  FROM watchword.tallies o WHERE o.counter = _counter) seen
            WHERE _is_patient OR watchword.is_nobodys(_counter, -1, s) LIMIT 1
            ON CONFLICT DO NOTHING RETURNING t.share INTO share;
            is_new := FOUND;
            EXIT WHEN is_new;
            _is_patient := true;
            CONTINUE;
        END IF;
        wait := watchword.wait_for_tally(
            _at, _counter, _opens_at, _closes_at, _amount, _shares);
        EXIT WHEN wait > 0;
        BEGIN
            SELECT t.share INTO share FROM watchword.tallies t
            WHERE t.counter = _counter AND t.amount = _amount
              AND (t.opens_at < _opens_at
                   OR t.spent < watchword.capacity(_amount, _shares, t.share))
            ORDER BY random() LIMIT 1;
            PERFORM FROM watchword.tallies t
            WHERE t.counter = _counter AND t.amount = _amount
              AND t.share = hold_share_of_tally.share
              AND (t.opens_at < _opens_at
                   OR t.spent < watchword.capacity(_amount, _shares, t.share))
            FOR UPDATE;
            IF NOT FOUND THEN
                RAISE EXCEPTION USING ERRCODE = 'WW003';
            END IF;
            EXIT;
        EXCEPTION WHEN SQLSTATE 'WW003' THEN
            CONTINUE;
        END;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION watchword.spend(
    _at bigint, _counters bytea[], _kinds bigint[], _shares int[], _firsts int[], _amounts bigint[],
    _spans bigint[], _longest bigint[], _largest bigint[], _opens_at bigint[], _closes_at bigint[]
) RETURNS bigint[] LANGUAGE plpgsql AS $$
-- Spend one unit of every quota: NULL when that is done, else how long until each has room, and then
-- nothing is spent. Rings come in the order of their counters, so that nobody waits in a circle.
DECLARE
    _rings int := cardinality(_counters);
    _waits bigint[] := array_fill(0::bigint, ARRAY[cardinality(_amounts)]);
    _is_new boolean[] := '{}';  -- made here, with this unit
    _share int[] := '{}';
    _instants bigint[];
    _held record;
    q int;
BEGIN
    -- What many share is looked at first: who is refused holds none of it.
    FOR r IN 1 .. _rings LOOP
        q := _firsts[r];
        IF _kinds[r] > 0 THEN
            _waits[q] := watchword.wait_for_trail(
                _at, _counters[r], _kinds[r], _amounts[q], _shares[r]);
        ELSIF _kinds[r] < 0 THEN
            _waits[q] := watchword.wait_for_tally(
                _at, _counters[r], _opens_at[r], _closes_at[r], _amounts[q], _shares[r]);
        END IF;
    END LOOP;
    IF 0 < ANY (_waits) THEN
        -- With those of the rings that nobody shares; what was seen counts, whatever happened since.
        RETURN ARRAY(
            SELECT greatest(x.seen, x.now) FROM unnest(_waits, (watchword.look(
                _at, _counters, _kinds, _shares, _firsts, _amounts, _spans, _longest, _largest,
                _opens_at, _closes_at)).waits) WITH ORDINALITY AS x (seen, now, n) ORDER BY x.n);
    END IF;
    FOR r IN 1 .. _rings LOOP
        q := _firsts[r];
        _is_new[r] := false;
        IF _kinds[r] = 0 THEN
            _share[r] := 0;
            LOOP
                INSERT INTO watchword.trails (counter, kind, share, amount, newest, idle_at, instants)
                VALUES (_counters[r], 0, 0, 0, _at, _at + _longest[r], ARRAY[_at])
                ON CONFLICT DO NOTHING;
                _is_new[r] := FOUND;
                EXIT WHEN FOUND;
                SELECT t.instants INTO _instants FROM watchword.trails t
                WHERE t.counter = _counters[r] AND t.kind = 0 AND t.share = 0 FOR UPDATE;
                IF FOUND THEN
                    _waits := watchword.look_at_ring(
                        _at, _instants, q, _firsts[r + 1] - 1, _amounts, _spans, _waits);
                    EXIT;
                END IF;
            END LOOP;
        ELSIF _kinds[r] > 0 THEN
            _held := watchword.hold_share_of_trail(
                _at, _counters[r], _kinds[r], _amounts[q], _shares[r]);
            _waits[q] := _held.wait;
            _share[r] := _held.share;
            _is_new[r] := _held.is_new;
            _largest[r] := watchword.capacity(_amounts[q], _shares[r], _held.share);
        ELSE
            _held := watchword.hold_share_of_tally(
                _at, _counters[r], _opens_at[r], _closes_at[r], _amounts[q], _shares[r]);
            _waits[q] := _held.wait;
            _share[r] := _held.share;
            _is_new[r] := _held.is_new;
        END IF;
    END LOOP;
    IF 0 < ANY (_waits) THEN
        FOR r IN 1 .. _rings LOOP
            IF _is_new[r] AND _kinds[r] < 0 THEN
                DELETE FROM watchword.tallies t
                WHERE t.counter = _counters[r] AND t.share = _share[r];
            ELSIF _is_new[r] THEN
                DELETE FROM watchword.trails t
                WHERE t.counter = _counters[r] AND t.kind = _kinds[r] AND t.share = _share[r];
            END IF;
        END LOOP;
        RETURN _waits;
    END IF;
    FOR r IN 1 .. _rings LOOP
        IF _is_new[r] THEN
            CONTINUE;
        ELSIF _kinds[r] < 0 THEN
            UPDATE watchword.tallies t
            SET spent = CASE WHEN t.opens_at < _opens_at[r] THEN 1 ELSE t.spent + 1 END,
                opens_at = greatest(t.opens_at, _opens_at[r]),
                closes_at = greatest(t.closes_at, _closes_at[r])
            WHERE t.counter = _counters[r] AND t.share = _share[r];
        ELSE
            UPDATE watchword.trails t
            SET instants = t.instants[greatest(1, cardinality(t.instants) - _largest[r] + 2)::int :]
                    || greatest(t.newest, _at),
                newest = greatest(t.newest, _at),
                idle_at = greatest(t.newest, _at) + _longest[r]
            WHERE t.counter = _counters[r] AND t.kind = _kinds[r] AND t.share = _share[r];
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
