-- Quotas, as the rings that count them. Parallel arrays have an element for each ring: its counter,
-- its kind, its shares, where its quotas begin among the amounts and spans (with one more element for
-- the end), and the bounds of its calendar window. Kinds: 0 is a ring of one share, whose trailing
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
    OUT shares int, OUT present int, OUT clock bigint, OUT wait bigint
) LANGUAGE plpgsql STABLE AS $$
-- How a split trailing quota stands: its shares, how many of them are there, the latest instant that
-- it has seen, and how long until it has room, 0 where it has some.
DECLARE
    _last int;
    _frees_at bigint;
BEGIN
    shares := _wanted;
    LOOP
        SELECT count(*), max(t.share), max(t.instants[cardinality(t.instants)]),
               min(watchword.frees_at(
                   t.instants, watchword.capacity(_amount, shares, t.share), _span))
                   FILTER (WHERE t.share < _amount)
        INTO present, _last, clock, _frees_at
        FROM watchword.trails t WHERE t.counter = _counter AND t.kind = _span;
        EXIT WHEN _last IS NULL OR _last < shares;
        shares := _last + 1;  -- more were granted once: it stays split so far
    END LOOP;
    clock := greatest(_at, clock);
    wait := 0;
    IF present >= least(shares, _amount) AND _frees_at > clock THEN
        wait := _frees_at - _at;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION watchword.look_at_tally(
    _at bigint, _counter bytea, _opens_at bigint, _closes_at bigint, _amount int, _wanted int,
    OUT shares int, OUT present int, OUT opens_at bigint, OUT closes_at bigint, OUT spent bigint,
    OUT wait bigint
) LANGUAGE plpgsql STABLE AS $$
-- How a calendar quota stands. A clock that steps back stays in the later window.
DECLARE
    _has_room boolean;
BEGIN
    SELECT count(*), greatest(_wanted, max(t.share) + 1), greatest(_opens_at, max(t.opens_at)),
           greatest(_closes_at, max(t.closes_at))
    INTO present, shares, opens_at, closes_at
    FROM watchword.tallies t WHERE t.counter = _counter;
    SELECT sum(t.amount) FILTER (WHERE t.opens_at >= look_at_tally.opens_at),
           bool_or(t.opens_at < look_at_tally.opens_at
               OR t.amount < watchword.capacity(_amount, shares, t.share))
               FILTER (WHERE t.share < _amount)
    INTO spent, _has_room
    FROM watchword.tallies t WHERE t.counter = _counter;
    wait := 0;
    IF present >= least(shares, _amount) AND NOT _has_room THEN
        wait := closes_at - _at;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION watchword.look(
    _at bigint, _counters bytea[], _kinds bigint[], _shares int[], _firsts int[], _amounts int[],
    _spans bigint[], _opens_at bigint[], _closes_at bigint[],
    OUT waits bigint[], OUT is_begun boolean
) LANGUAGE plpgsql STABLE AS $$
-- How long until each quota has room, 0 where it has some; and whether anything is counted on any.
-- Holds nothing.
DECLARE
    _instants bigint[];
    _longest bigint;
    _seen record;
    q int;
BEGIN
    is_begun := false;
    FOR r IN 1 .. cardinality(_counters) LOOP
        q := _firsts[r];
        IF _kinds[r] = 0 THEN
            SELECT t.instants INTO _instants
            FROM watchword.trails t WHERE t.counter = _counters[r] AND t.kind = 0;
            waits := watchword.look_at_ring(_at, _instants, q, _firsts[r + 1] - 1, _amounts, _spans, waits);
            SELECT max(s) INTO _longest FROM unnest(_spans[q : _firsts[r + 1] - 1]) s;
            is_begun := is_begun OR coalesce(
                _instants[cardinality(_instants)] + _longest
                > greatest(_at, _instants[cardinality(_instants)]), false);
        ELSIF _kinds[r] > 0 THEN
            _seen := watchword.look_at_trail(_at, _counters[r], _kinds[r], _amounts[q], _shares[r]);
            waits[q] := _seen.wait;
            is_begun := is_begun OR EXISTS (
                SELECT FROM watchword.trails t WHERE t.counter = _counters[r] AND t.kind = _kinds[r]
                AND t.instants[cardinality(t.instants)] + _kinds[r] > _seen.clock);
        ELSE
            _seen := watchword.look_at_tally(
                _at, _counters[r], _opens_at[r], _closes_at[r], _amounts[q], _shares[r]);
            waits[q] := _seen.wait;
            is_begun := is_begun OR coalesce(_seen.spent > 0, false);
        END IF;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION watchword.hold_ring(
    _at bigint, _counter bytea, _longest bigint, OUT instants bigint[], OUT is_first boolean
) LANGUAGE plpgsql AS $$
-- Hold a ring of one share. A new one is made with this unit spent already.
BEGIN
    LOOP
        SELECT t.instants INTO instants FROM watchword.trails t
        WHERE t.counter = _counter AND t.kind = 0 AND t.share = 0 FOR UPDATE;
        IF FOUND THEN
            is_first := false;
            RETURN;
        END IF;
        INSERT INTO watchword.trails (counter, kind, share, instants, idle_at)
        VALUES (_counter, 0, 0, ARRAY[_at], _at + _longest) ON CONFLICT DO NOTHING;
        IF FOUND THEN
            is_first := true;
            RETURN;
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
    LOOP
        _seen := watchword.look_at_trail(_at, _counter, _span, _amount, _wanted);
        wait := _seen.wait;
        clock := _seen.clock;
        IF wait > 0 THEN
            RETURN;
        END IF;
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
    LOOP
        _seen := watchword.look_at_tally(_at, _counter, _opens_at, _closes_at, _amount, _wanted);
        opens_at := _seen.opens_at;
        closes_at := _seen.closes_at;
        wait := _seen.wait;
        IF wait > 0 THEN
            RETURN;
        END IF;
        IF _seen.present < _seen.shares THEN
            INSERT INTO watchword.tallies (counter, share)
            SELECT _counter, s FROM generate_series(0, _seen.shares - 1) s ON CONFLICT DO NOTHING;
        END IF;
        SELECT t.share INTO share FROM watchword.tallies t
        WHERE t.counter = _counter AND t.share < _amount
          AND (t.opens_at < hold_share_of_tally.opens_at
               OR t.amount < watchword.capacity(_amount, _seen.shares, t.share))
        LIMIT 1 FOR UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            SELECT t.share INTO share FROM watchword.tallies t
            WHERE t.counter = _counter AND t.share < _amount
              AND (t.opens_at < hold_share_of_tally.opens_at
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
    _spans bigint[], _opens_at bigint[], _closes_at bigint[]
) RETURNS bigint[] LANGUAGE plpgsql AS $$
-- Spend one unit of every quota: NULL when that is done, else how long until each has room, and then
-- nothing is spent. Rings come in the order of their counters, so that nobody waits in a circle.
DECLARE
    _rings int := cardinality(_counters);
    _waits bigint[] := '{}';
    _first int[] := '{}';   -- rings that were made with this unit
    _share int[] := '{}';
    _keeps int[] := '{}';
    _clock bigint[] := '{}';
    _longest bigint;
    _largest int;
    _ring record;
    q int;
BEGIN
    FOR r IN 1 .. _rings LOOP
        q := _firsts[r];
        IF _kinds[r] = 0 THEN
            SELECT max(s), max(a) INTO _longest, _largest
            FROM unnest(_spans[q : _firsts[r + 1] - 1], _amounts[q : _firsts[r + 1] - 1]) u(s, a);
            _keeps[r] := _largest;
            _ring := watchword.hold_ring(_at, _counters[r], _longest);
            _waits := watchword.look_at_ring(
                _at, _ring.instants, q, _firsts[r + 1] - 1, _amounts, _spans, _waits);
            _clock[r] := greatest(_at, _ring.instants[cardinality(_ring.instants)]);
            _share[r] := 0;
            IF _ring.is_first THEN
                _first := _first || r;
            END IF;
        ELSIF _kinds[r] > 0 THEN
            _ring := watchword.hold_share_of_trail(
                _at, _counters[r], _kinds[r], _amounts[q], _shares[r]);
            _waits[q] := _ring.wait;
            _share[r] := _ring.share;
            _keeps[r] := _ring.keeps;
            _clock[r] := _ring.clock;
        ELSE
            _ring := watchword.hold_share_of_tally(
                _at, _counters[r], _opens_at[r], _closes_at[r], _amounts[q], _shares[r]);
            _waits[q] := _ring.wait;
            _share[r] := _ring.share;
            _opens_at[r] := _ring.opens_at;
            _closes_at[r] := _ring.closes_at;
        END IF;
    END LOOP;
    IF 0 < ANY (_waits) THEN
        FOR r IN 1 .. cardinality(_first) LOOP
            DELETE FROM watchword.trails t
            WHERE t.counter = _counters[_first[r]] AND t.kind = 0 AND t.share = 0;
        END LOOP;
        RETURN _waits;
    END IF;
    FOR r IN 1 .. _rings LOOP
        IF _kinds[r] < 0 THEN
            UPDATE watchword.tallies t
            SET amount = CASE WHEN t.opens_at < _opens_at[r] THEN 1 ELSE t.amount + 1 END,
                opens_at = _opens_at[r], closes_at = _closes_at[r]
            WHERE t.counter = _counters[r] AND t.share = _share[r];
        ELSIF NOT r = ANY (_first) THEN
            SELECT max(s) INTO _longest FROM unnest(_spans[_firsts[r] : _firsts[r + 1] - 1]) s;
            UPDATE watchword.trails t
            SET instants = t.instants[greatest(1, cardinality(t.instants) - _keeps[r] + 2) :]
                    || _clock[r],
                idle_at = _clock[r] + _longest
            WHERE t.counter = _counters[r] AND t.kind = _kinds[r] AND t.share = _share[r];
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
