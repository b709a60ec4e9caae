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

CREATE OR REPLACE FUNCTION watchword.capacity(_amount int, _shares int, _share int)
RETURNS int LANGUAGE sql IMMUTABLE AS $$
    SELECT _amount / _shares + (_share < _amount % _shares)::int
$$;

CREATE OR REPLACE FUNCTION watchword.frees_at(_instants bigint[], _amount int, _span bigint)
RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    -- From when on there is room for one more in so many a span.
    SELECT coalesce(_instants[cardinality(_instants) + 1 - _amount] + _span, 0)
$$;

CREATE OR REPLACE FUNCTION watchword.look_at_ring(
    _at bigint, _instants bigint[], _first int, _end int, _amounts int[], _spans bigint[],
    INOUT waits bigint[]
) LANGUAGE plpgsql IMMUTABLE AS $$
-- How long until each quota of a ring of one share has room, 0 where it has some.
DECLARE
    _clock bigint := greatest(_at, _instants[cardinality(_instants)]);
    _frees_at bigint;
BEGIN
    FOR q IN _first .. _end LOOP
        _frees_at := _instants[cardinality(_instants) + 1 - _amounts[q]] + _spans[q];
        waits[q] := CASE WHEN _frees_at > _clock THEN _frees_at - _at ELSE 0 END;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION watchword.look_at_trail(
    _at bigint, _counter bytea, _span bigint, _amount int, _wanted int,
    OUT shares int, OUT present int, OUT clock bigint
) LANGUAGE plpgsql STABLE AS $$
-- A split trailing quota: its shares, how many of them are there, and the latest instant it has seen.
-- Where more were granted once, it stays split as far as then.
BEGIN
    SELECT count(*), greatest(_wanted, max(t.share) + 1), greatest(_at, max(t.newest))
    INTO present, shares, clock
    FROM watchword.trails t WHERE t.counter = _counter AND t.kind = _span;
END $$;

CREATE OR REPLACE FUNCTION watchword.wait_for_trail(
    _at bigint, _clock bigint, _counter bytea, _span bigint, _amount int, _shares int
) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
-- How long until one of its shares has room, 0 where one has. One that is not there has all its room.
DECLARE
    _present int;
    _frees_at bigint;
BEGIN
    SELECT count(*), min(watchword.frees_at(
               t.instants, watchword.capacity(_amount, _shares, t.share), _span))
    INTO _present, _frees_at
    FROM watchword.trails t
    WHERE t.counter = _counter AND t.kind = _span AND t.share < _amount;
    IF _present >= least(_shares, _amount) AND _frees_at > _clock THEN
        RETURN _frees_at - _at;
    END IF;
    RETURN 0;
END $$;

CREATE OR REPLACE FUNCTION watchword.look_at_tally(
    _counter bytea, _opens_at bigint, _closes_at bigint, _wanted int,
    OUT shares int, OUT present int, OUT opens_at bigint, OUT closes_at bigint
) LANGUAGE plpgsql STABLE AS $$
-- A calendar quota: its shares, how many of them are there, and the window it is in. A clock that
-- steps back stays in the later one.
BEGIN
    SELECT count(*), greatest(_wanted, max(t.share) + 1), greatest(_opens_at, max(t.opens_at)),
           greatest(_closes_at, max(t.closes_at))
    INTO present, shares, opens_at, closes_at
    FROM watchword.tallies t WHERE t.counter = _counter;
END $$;

CREATE OR REPLACE FUNCTION watchword.wait_for_tally(
    _at bigint, _opens_at bigint, _closes_at bigint, _counter bytea, _amount int, _shares int
) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
-- How long until one of its shares has room, 0 where one has.
DECLARE
    _present int;
    _has_room boolean;
BEGIN
    SELECT count(*), bool_or(t.opens_at < _opens_at
               OR t.amount < watchword.capacity(_amount, _shares, t.share))
    INTO _present, _has_room
    FROM watchword.tallies t WHERE t.counter = _counter AND t.share < _amount;
    IF _present >= least(_shares, _amount) AND NOT _has_room THEN
        RETURN _closes_at - _at;
    END IF;
    RETURN 0;
END $$;

CREATE OR REPLACE FUNCTION watchword.look(
    _at bigint, _counters bytea[], _kinds bigint[], _shares int[], _firsts int[], _amounts int[],
    _spans bigint[], _longest bigint[], _largest int[], _opens_at bigint[], _closes_at bigint[],
    OUT waits bigint[], OUT is_begun boolean
) LANGUAGE plpgsql STABLE AS $$
-- How long until each quota has room, 0 where it has some; and whether anything is counted on any.
-- Holds nothing.
DECLARE
    _instants bigint[];
    _newest bigint;
    _seen record;
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
            _seen := watchword.look_at_trail(_at, _counters[r], _kinds[r], _amounts[q], _shares[r]);
            waits[q] := watchword.wait_for_trail(
                _at, _seen.clock, _counters[r], _kinds[r], _amounts[q], _seen.shares);
            is_begun := is_begun OR EXISTS (
                SELECT FROM watchword.trails t WHERE t.counter = _counters[r] AND t.kind = _kinds[r]
                AND t.newest + _kinds[r] > _seen.clock);
        ELSE
            _seen := watchword.look_at_tally(
                _counters[r], _opens_at[r], _closes_at[r], _shares[r]);
            waits[q] := watchword.wait_for_tally(
                _at, _seen.opens_at, _seen.closes_at, _counters[r], _amounts[q], _seen.shares);
            is_begun := is_begun OR EXISTS (
                SELECT FROM watchword.tallies t
                WHERE t.counter = _counters[r] AND t.opens_at >= _seen.opens_at AND t.amount > 0);
        END IF;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION watchword.hold_share_of_trail(
    _at bigint, _counter bytea, _span bigint, _amount int, _wanted int,
    OUT share int, OUT keeps int, OUT clock bigint, OUT wait bigint
) LANGUAGE plpgsql AS $$
-- Hold a share that has room, one that nobody holds if there is any; else say the wait.
DECLARE
    _seen record;
BEGIN
    wait := 0;
    LOOP
        _seen := watchword.look_at_trail(_at, _counter, _span, _amount, _wanted);
        clock := _seen.clock;
        IF _seen.present < _seen.shares THEN
            INSERT INTO watchword.trails (counter, kind, share, idle_at)
            SELECT _counter, _span, s, clock + _span
            FROM generate_series(0, _seen.shares - 1) s ON CONFLICT DO NOTHING;
        END IF;
        SELECT t.share INTO share FROM watchword.trails t
        WHERE t.counter = _counter AND t.kind = _span AND t.share < _amount
          AND watchword.frees_at(t.instants, watchword.capacity(_amount, _seen.shares, t.share), _span)
              <= clock
        LIMIT 1 FOR UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            wait := watchword.wait_for_trail(_at, clock, _counter, _span, _amount, _seen.shares);
            IF wait > 0 THEN
                RETURN;
            END IF;
            SELECT t.share INTO share FROM watchword.trails t
            WHERE t.counter = _counter AND t.kind = _span AND t.share < _amount
              AND watchword.frees_at(
                      t.instants, watchword.capacity(_amount, _seen.shares, t.share), _span)
                  <= clock
            LIMIT 1 FOR UPDATE;
        END IF;
        IF FOUND THEN
            keeps := watchword.capacity(_amount, _seen.shares, share);
            RETURN;
        END IF;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION watchword.hold_share_of_tally(
    _at bigint, _counter bytea, _opens_at bigint, _closes_at bigint, _amount int, _wanted int,
    OUT share int, OUT opens_at bigint, OUT closes_at bigint, OUT wait bigint
) LANGUAGE plpgsql AS $$
-- The same for a calendar quota, with the window that it is in.
DECLARE
    _seen record;
BEGIN
    wait := 0;
    LOOP
        _seen := watchword.look_at_tally(_counter, _opens_at, _closes_at, _wanted);
        opens_at := _seen.opens_at;
        closes_at := _seen.closes_at;
        IF _seen.present < _seen.shares THEN
            INSERT INTO watchword.tallies (counter, share)
            SELECT _counter, s FROM generate_series(0, _seen.shares - 1) s ON CONFLICT DO NOTHING;
        END IF;
        SELECT t.share INTO share FROM watchword.tallies t
        WHERE t.counter = _counter AND t.share < _amount
          AND (t.opens_at < _seen.opens_at
               OR t.amount < watchword.capacity(_amount, _seen.shares, t.share))
        LIMIT 1 FOR UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            wait := watchword.wait_for_tally(
                _at, opens_at, closes_at, _counter, _amount, _seen.shares);
            IF wait > 0 THEN
                RETURN;
            END IF;
            SELECT t.share INTO share FROM watchword.tallies t
            WHERE t.counter = _counter AND t.share < _amount
              AND (t.opens_at < _seen.opens_at
                   OR t.amount < watchword.capacity(_amount, _seen.shares, t.share))
            LIMIT 1 FOR UPDATE;
        END IF;
        IF FOUND THEN
            RETURN;
        END IF;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION watchword.spend(
    _at bigint, _counters bytea[], _kinds bigint[], _shares int[], _firsts int[], _amounts int[],
    _spans bigint[], _longest bigint[], _largest int[], _opens_at bigint[], _closes_at bigint[]
) RETURNS bigint[] LANGUAGE plpgsql AS $$
-- Spend one unit of every quota: NULL when that is done, else how long until each has room, and then
-- nothing is spent. Rings come in the order of their counters, so that nobody waits in a circle.
DECLARE
    _rings int := cardinality(_counters);
    _waits bigint[] := array_fill(0::bigint, ARRAY[cardinality(_amounts)]);
    _is_new boolean[] := '{}';  -- made here, with this unit
    _share int[] := '{}';
    _instants bigint[];
    _newest bigint;
    _clock bigint[] := '{}';
    _held record;
    q int;
BEGIN
    FOR r IN 1 .. _rings LOOP
        q := _firsts[r];
        _is_new[r] := false;
        IF _kinds[r] = 0 THEN
            _share[r] := 0;
            LOOP
                INSERT INTO watchword.trails (counter, kind, share, newest, idle_at, instants)
                VALUES (_counters[r], 0, 0, _at, _at + _longest[r], ARRAY[_at]) ON CONFLICT DO NOTHING;
                _is_new[r] := FOUND;
                EXIT WHEN FOUND;
                SELECT t.instants, t.newest INTO _instants, _newest FROM watchword.trails t
                WHERE t.counter = _counters[r] AND t.kind = 0 AND t.share = 0 FOR UPDATE;
                IF FOUND THEN
                    _clock[r] := greatest(_at, _newest);
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
            _largest[r] := _held.keeps;
            _clock[r] := _held.clock;
        ELSE
            _held := watchword.hold_share_of_tally(
                _at, _counters[r], _opens_at[r], _closes_at[r], _amounts[q], _shares[r]);
            _waits[q] := _held.wait;
            _share[r] := _held.share;
            _opens_at[r] := _held.opens_at;
            _closes_at[r] := _held.closes_at;
        END IF;
    END LOOP;
    IF 0 < ANY (_waits) THEN
        FOR r IN 1 .. _rings LOOP
            IF _is_new[r] THEN
                DELETE FROM watchword.trails t
                WHERE t.counter = _counters[r] AND t.kind = 0 AND t.share = 0;
            END IF;
        END LOOP;
        RETURN _waits;
    END IF;
    FOR r IN 1 .. _rings LOOP
        IF _kinds[r] < 0 THEN
            UPDATE watchword.tallies t
            SET amount = CASE WHEN t.opens_at < _opens_at[r] THEN 1 ELSE t.amount + 1 END,
                opens_at = greatest(t.opens_at, _opens_at[r]),
                closes_at = greatest(t.closes_at, _closes_at[r])
            WHERE t.counter = _counters[r] AND t.share = _share[r];
        ELSIF NOT _is_new[r] THEN
            UPDATE watchword.trails t
            SET instants = t.instants[greatest(1, cardinality(t.instants) - _largest[r] + 2) :]
                    || greatest(t.newest, _clock[r]),
                newest = greatest(t.newest, _clock[r]),
                idle_at = greatest(t.newest, _clock[r]) + _longest[r]
            WHERE t.counter = _counters[r] AND t.kind = _kinds[r] AND t.share = _share[r];
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
