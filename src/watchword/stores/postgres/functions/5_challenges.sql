-- The acts on challenges: issue, attempt, cancel. Each holds its destination first, so that what it
-- finds stays as it is until it is over, and answers with a list that begins with what became of it.

CREATE OR REPLACE FUNCTION watchword.drop_queued(_challenge bigint, _kept int, _at bigint)
RETURNS void LANGUAGE plpgsql AS $$
-- What was not yet begun for a challenge is not sent, but for its newest so many deliveries.
BEGIN
    UPDATE watchword.deliveries d
    SET state = 'cancelled', code = '', recipient = '', due_at = NULL, settled_at = _at
    WHERE d.id IN (
        SELECT e.id FROM watchword.deliveries e
        WHERE e.challenge = _challenge AND e.state IN ('queued', 'leased')
          AND e.id NOT IN (SELECT n.id FROM watchword.deliveries n WHERE n.challenge = _challenge
                           ORDER BY n.id DESC LIMIT _kept)
        ORDER BY e.id FOR UPDATE)
      AND d.state IN ('queued', 'leased');
END $$;

CREATE OR REPLACE FUNCTION watchword.close(_challenge bigint, _state text, _attempts int, _at bigint)
RETURNS void LANGUAGE plpgsql AS $$
-- A closed challenge keeps no code, sealed or digested, and nothing of it is still queued.
BEGIN
    UPDATE watchword.challenges c
    SET state = _state, attempts = _attempts, closed_at = _at,
        digests = '{}', drawn_at = '{}', dies_at = '{}', sealed = '{}'
    WHERE c.serial = _challenge;
    PERFORM watchword.drop_queued(_challenge, 0, _at);
END $$;

CREATE OR REPLACE FUNCTION watchword.refuse_closed(_serial bigint, _id text, _app text)
RETURNS json LANGUAGE plpgsql STABLE AS $$
-- The one challenge that might have been extended is over, or was never there. One that a later one
-- followed is over, whatever a clock that stepped back says.
DECLARE
    _state text;
BEGIN
    SELECT CASE WHEN c.state = 'pending' THEN 'expired' ELSE c.state END INTO _state
    FROM watchword.challenges c WHERE c.serial = _serial AND c.id = _id AND c.app_id = _app;
    IF NOT FOUND THEN
        RETURN '["not found"]';
    END IF;
    RETURN json_build_array('closed', _state);
END $$;

CREATE OR REPLACE FUNCTION watchword.issue(
    _at bigint, _once bytea, _request bytea, _once_until bigint,
    _serial bigint, _id text, _app text, _purpose text, _channel text, _slot bytea,
    _destination bytea, _subject bytea, _masked text, _recipient bytea, _code_length int,
    _max_attempts int, _digest bytea, _expires_at bigint, _sealed bytea,
    _resend text, _interval bigint, _redraw_for text, _only text, _only_serial bigint,
    _network bytea, _budget bigint[],
    _carried_by text, _code bytea, _cancel_if_refused boolean,
    _counters bytea[], _kinds bigint[], _shares int[], _firsts int[], _amounts bigint[],
    _spans bigint[], _longest bigint[], _largest bigint[],
    _opens_at bigint[], _closes_at bigint[]
) RETURNS json LANGUAGE plpgsql AS $$
-- See ports.ChallengeStore.issue. Refusals first.
DECLARE
    _answer json;
    _is_done boolean := false;
    _failures record;
    _latest watchword.challenges;
    _is_open boolean;
    _repeats boolean := false;
    _waits bigint[];
    _live int[];
    _drawn bigint := _at;
    _resend_at bigint := _at + _interval;
    _delivery bigint;
    n int;
BEGIN
    IF _once IS NOT NULL THEN
        _answer := watchword.recall(_once, _request, _at);
        IF _answer IS NOT NULL THEN
            RETURN _answer;
        END IF;
    END IF;
    <<act>>
    BEGIN
        _failures := watchword.hold(_destination, _network, _budget, _at, true);
        IF _failures.wait IS NOT NULL THEN
            _answer := json_build_array('failures', _failures.wait, _failures.amount);
            EXIT act;
        END IF;
        SELECT * INTO _latest FROM watchword.challenges c
        WHERE c.slot = _slot AND c.app_id = _app ORDER BY c.serial DESC LIMIT 1 FOR UPDATE;
        _is_open := FOUND AND _latest.state = 'pending' AND _latest.expires_at > _at;
        IF _only IS NOT NULL AND NOT (_is_open AND _latest.id = _only) THEN
            _answer := watchword.refuse_closed(_only_serial, _only, _app);
            EXIT act;
        END IF;
        n := cardinality(_latest.digests);
        IF _is_open THEN
            IF _interval > 0 AND _at < _latest.resend_at THEN
                _answer := json_build_array('too soon', _latest.resend_at - _at);
                EXIT act;
            END IF;
            _repeats := coalesce(_resend = 'same' AND _latest.sealed[n] IS NOT NULL
                AND (_latest.dies_at[n] - _at) * 2 >= _latest.dies_at[n] - _latest.drawn_at[n], false);
            -- A code belongs to the challenge it was drawn for, and has the length of its first send.
            IF NOT _repeats AND (_redraw_for IS DISTINCT FROM _latest.id
                                 OR _code_length <> _latest.code_length) THEN
                _answer := json_build_array('redraw', _latest.id, _latest.code_length, NULL);
                EXIT act;
            END IF;
        ELSIF _redraw_for IS NOT NULL OR _serial <= _latest.serial THEN
            -- A new one follows the last of its slot, also where the clock stepped back.
            _answer := json_build_array('redraw', NULL, _code_length, _latest.id);
            EXIT act;
        END IF;
        IF cardinality(_counters) > 0 THEN
            _waits := watchword.spend(
                _at, _counters, _kinds, _shares, _firsts, _amounts, _spans, _longest, _largest,
                _opens_at, _closes_at);
            IF _waits IS NOT NULL THEN
                _answer := json_build_array('spent', _waits);
                EXIT act;
            END IF;
        END IF;
        IF NOT _is_open THEN
            INSERT INTO watchword.challenges (
                serial, id, slot, app_id, purpose, channel, destination, subject, masked, recipient,
                code_length, max_attempts, digests, drawn_at, dies_at, sealed, opened_at, resend_at,
                expires_at)
            VALUES (
                _serial, _id, _slot, _app, _purpose, _channel, _destination, _subject, _masked,
                _recipient, _code_length, _max_attempts, ARRAY[_digest], ARRAY[_at],
                ARRAY[_expires_at], ARRAY[_sealed], _at, _resend_at, _expires_at)
            ON CONFLICT DO NOTHING;
            IF NOT FOUND THEN
                -- Two drew the same serial in the same microsecond: undo all, and draw again.
                RAISE EXCEPTION USING ERRCODE = 'WW002';
            END IF;
            _latest.serial := _serial;
            _latest.id := _id;
            _latest.attempts := 0;
            _latest.max_attempts := _max_attempts;
        ELSE
            IF _repeats THEN
                _drawn := _latest.drawn_at[n];
                _expires_at := _latest.dies_at[n];
                _code := _latest.sealed[n];
            ELSE
                IF _resend <> 'newest' THEN
                    SELECT array_agg(i ORDER BY i) INTO _live
                    FROM (SELECT i FROM generate_series(1, n) i WHERE _latest.dies_at[i] > _at
                          ORDER BY i DESC LIMIT 2) live;
                END IF;
                SELECT array_agg(_latest.digests[i] ORDER BY i) || _digest,
                       array_agg(_latest.drawn_at[i] ORDER BY i) || _at,
                       array_agg(_latest.dies_at[i] ORDER BY i) || _expires_at,
                       array_agg(_latest.sealed[i] ORDER BY i) || _sealed
                INTO _latest.digests, _latest.drawn_at, _latest.dies_at, _latest.sealed
                FROM unnest(_live) i;
                IF _resend <> 'same' THEN
                    -- A code that this one kills is not sent any more.
                    PERFORM watchword.drop_queued(
                        _latest.serial, CASE _resend WHEN 'any' THEN 2 ELSE 0 END, _at);
                END IF;
            END IF;
            UPDATE watchword.challenges c
            SET channel = _channel, recipient = _recipient, digests = _latest.digests,
                drawn_at = _latest.drawn_at, dies_at = _latest.dies_at, sealed = _latest.sealed,
                resend_at = _resend_at,
                expires_at = (SELECT max(d) FROM unnest(_latest.dies_at) d)
            WHERE c.serial = _latest.serial;
        END IF;
        IF _carried_by IS NOT NULL THEN
            INSERT INTO watchword.deliveries (
                app_id, challenge, channel, minutes, recipient, code, cancel_if_refused, queued_at,
                expires_at, due_at)
            VALUES (
                _app, _latest.serial, _carried_by, greatest(1, (_expires_at - _at) / 60000000), _recipient,
                _code, _cancel_if_refused, _at, _expires_at, _at)
            RETURNING id INTO _delivery;
        END IF;
        INSERT INTO watchword.events (
            at, kind, app_id, channel, purpose, challenge_id, subject, masked, details)
        VALUES (_at, CASE WHEN _is_open THEN 'resent' ELSE 'created' END, _app, _channel, _purpose,
                _latest.id, _destination, _masked,
                CASE WHEN _carried_by IS NULL THEN '{"test":true}' ELSE '{}' END);
        _is_done := true;
        _answer := json_build_array(
            'issued', _latest.id, NOT _is_open, _masked, _channel, _drawn, _expires_at, _resend_at,
            greatest(0, _latest.max_attempts - _latest.attempts), _delivery);
    END act;
    IF _failures.is_new AND NOT _is_done THEN
        DELETE FROM watchword.destinations d WHERE d.destination = _destination;
    END IF;
    IF _once IS NOT NULL AND _is_done THEN
        PERFORM watchword.remember(_once, _request, _once_until, _answer);
    END IF;
    RETURN _answer;
END $$;

CREATE OR REPLACE FUNCTION watchword.attempt(
    _at bigint, _once bytea, _request bytea, _once_until bigint,
    _serial bigint, _id text, _app text, _given bytea[], _subject bytea, _network bytea,
    _budget bigint[], _record_kinds text[] DEFAULT '{}', _keys text[] DEFAULT '{}',
    _versions bigint[] DEFAULT '{}', _bodies bytea[] DEFAULT '{}', _ends_at bigint[] DEFAULT '{}'
) RETURNS json LANGUAGE plpgsql AS $$
-- See ports.ChallengeStore.attempt: count, judge and consume, in that order, in one act.
DECLARE
    _answer json;
    _is_done boolean := false;
    _destination bytea;
    _failures record;
    _asked watchword.challenges;
    _left int;
    _is_right boolean := false;
    _misfit int;
    _verdict text;
BEGIN
    IF _once IS NOT NULL THEN
        _answer := watchword.recall(_once, _request, _at);
        IF _answer IS NOT NULL THEN
            RETURN _answer;
        END IF;
    END IF;
    <<act>>
    BEGIN
        SELECT c.destination INTO _destination FROM watchword.challenges c
        WHERE c.serial = _serial AND c.id = _id AND c.app_id = _app;
        IF NOT FOUND THEN
            _answer := '["not found"]';
            EXIT act;
        END IF;
        _failures := watchword.hold(_destination, _network, _budget, _at, false);
        SELECT * INTO _asked FROM watchword.challenges c
        WHERE c.serial = _serial AND c.id = _id AND c.app_id = _app FOR UPDATE;
        IF NOT FOUND THEN
            _answer := '["not found"]';
            EXIT act;
        END IF;
        IF _failures.wait IS NOT NULL THEN
            _answer := json_build_array('failures', _failures.wait, _failures.amount);
            EXIT act;
        END IF;
        _left := greatest(0, _asked.max_attempts - _asked.attempts);
        IF _asked.state <> 'pending' OR _asked.expires_at <= _at THEN
            _verdict := CASE _asked.state
                WHEN 'approved' THEN 'already-approved' WHEN 'pending' THEN 'expired'
                ELSE _asked.state END;
        ELSE
            FOR i IN 1 .. cardinality(_asked.digests) LOOP
                _is_right := _is_right
                    OR (_asked.dies_at[i] > _at AND _asked.digests[i] = ANY (_given));
            END LOOP;
            _is_right := _is_right AND (_subject IS NULL OR _subject = _asked.subject);
            IF _is_right THEN
                _verdict := 'match';
                IF cardinality(_keys) > 0 THEN
                    _misfit := watchword.write(
                        _at, _record_kinds, _keys, _versions, _bodies, _ends_at);
                    IF _misfit IS NOT NULL THEN
                        _answer := json_build_array('conflict', _record_kinds[_misfit], _keys[_misfit]);
                        EXIT act;
                    END IF;
                END IF;
                PERFORM watchword.close(_serial, 'approved', _asked.attempts, _at);
                IF _failures.failed THEN
                    PERFORM watchword.forgive(_destination);
                END IF;
            ELSE
                _verdict := 'mismatch';
                INSERT INTO watchword.events (
                    at, kind, app_id, channel, purpose, challenge_id, subject, masked)
                VALUES (_at, 'failed', _app, _asked.channel, _asked.purpose, _id, _destination,
                        _asked.masked);
                _left := _left - 1;
                IF _left <= 0 THEN
                    PERFORM watchword.close(_serial, 'exhausted', _asked.attempts + 1, _at);
                ELSE
                    UPDATE watchword.challenges c SET attempts = _asked.attempts + 1
                    WHERE c.serial = _serial;
                END IF;
                PERFORM watchword.fail(_destination, _network, _budget, _at);
            END IF;
        END IF;
        _is_done := true;
        _answer := json_build_array('judged', _verdict, _left);
    END act;
    IF _once IS NOT NULL AND _is_done THEN
        PERFORM watchword.remember(_once, _request, _once_until, _answer);
    END IF;
    RETURN _answer;
END $$;

CREATE OR REPLACE FUNCTION watchword.cancel(_at bigint, _serial bigint, _id text, _app text)
RETURNS SETOF watchword.challenges LANGUAGE plpgsql AS $$
-- The challenge as it is then; nothing where there is none.
DECLARE
    _found watchword.challenges;
BEGIN
    PERFORM FROM watchword.destinations d WHERE d.destination = (
        SELECT c.destination FROM watchword.challenges c
        WHERE c.serial = _serial AND c.id = _id AND c.app_id = _app) FOR UPDATE;
    SELECT * INTO _found FROM watchword.challenges c
    WHERE c.serial = _serial AND c.id = _id AND c.app_id = _app FOR UPDATE;
    IF FOUND AND _found.state = 'pending' AND _found.expires_at > _at THEN
        PERFORM watchword.close(_serial, 'cancelled', _found.attempts, _at);
    END IF;
    RETURN QUERY SELECT * FROM watchword.challenges c
    WHERE c.serial = _serial AND c.id = _id AND c.app_id = _app;
END $$;
