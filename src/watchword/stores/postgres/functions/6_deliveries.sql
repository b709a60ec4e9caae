-- Leasing, and recording how hand-overs ended. What lies between are statements (queries.sql).

CREATE OR REPLACE FUNCTION watchword.lease(
    _channel text, _at bigint, _until bigint, _most int, _repeats boolean, _after text,
    _holders text[], _held int[], _share int
) RETURNS TABLE (
    id bigint, token int, app_id text, challenge_id text, slot bytea, purpose text, tries int,
    minutes int, recipient bytea, code bytea, expires_at bigint, queued_at bigint
) LANGUAGE plpgsql AS $$
-- See ports.DeliveryStore.lease. What another worker or an act holds at this moment is left for the
-- next look.
DECLARE
    -- So many are settled of each app, so that whatever one has lying about nobody waits for long.
    _most_settled CONSTANT int := 64;
    _apps text[];
    _places int[];
    _settled int[];
    _next record;
    _ends text;
    n int;
BEGIN
    -- Who has anything in line, from one app to the next by the index.
    WITH RECURSIVE found (app) AS (
        (SELECT d.app_id FROM watchword.deliveries d
         WHERE d.channel = _channel AND d.due_at IS NOT NULL ORDER BY d.channel, d.app_id LIMIT 1)
        UNION ALL
        SELECT (SELECT d.app_id FROM watchword.deliveries d
                WHERE d.channel = _channel AND d.due_at IS NOT NULL AND d.app_id > f.app
                ORDER BY d.channel, d.app_id LIMIT 1)
        FROM found f WHERE f.app IS NOT NULL)
    SELECT array_agg(f.app ORDER BY f.app <= _after, f.app),
           array_agg(coalesce(_held[array_position(_holders, f.app)], 0)
                     ORDER BY f.app <= _after, f.app),
           array_agg(0)
    INTO _apps, _places, _settled FROM found f WHERE f.app IS NOT NULL;
    WHILE _most > 0 LOOP
        -- Whoever holds the fewest places; those served last come after their equals.
        SELECT i INTO n FROM generate_subscripts(_apps, 1) i
        WHERE _places[i] < _share ORDER BY _places[i], i LIMIT 1;
        EXIT WHEN NOT FOUND;
        SELECT d.id, d.state, d.expires_at, c.app_id, c.id AS challenge_id, c.slot, c.purpose,
               c.state = 'pending' AS is_open
        INTO _next FROM watchword.deliveries d JOIN watchword.challenges c ON c.serial = d.challenge
        WHERE d.channel = _channel AND d.app_id = _apps[n] AND d.due_at <= _at
        ORDER BY d.due_at LIMIT 1 FOR UPDATE OF d SKIP LOCKED;
        IF NOT FOUND OR _settled[n] = _most_settled THEN
            _places[n] := _share;
            CONTINUE;
        END IF;
        -- What was being sent may have arrived; what was to be tried again ends with its code, or
        -- with its challenge.
        _ends := CASE
            WHEN _next.state = 'sending' THEN
                CASE WHEN _repeats AND _next.is_open AND _next.expires_at > _at THEN NULL
                     ELSE 'unknown' END
            WHEN _next.expires_at <= _at THEN 'expired'
            WHEN NOT _next.is_open THEN 'cancelled' END;
        IF _ends IS NOT NULL THEN
            UPDATE watchword.deliveries d
            SET state = _ends, code = '', recipient = '', due_at = NULL, settled_at = _at
            WHERE d.id = _next.id;
            _settled[n] := _settled[n] + 1;
            CONTINUE;
        END IF;
        RETURN QUERY UPDATE watchword.deliveries d
            SET state = 'leased', token = d.token + 1, due_at = _until WHERE d.id = _next.id
            RETURNING d.id, d.token, _next.app_id, _next.challenge_id, _next.slot, _next.purpose,
                      d.tries, d.minutes, d.recipient, d.code, d.expires_at, d.queued_at;
        _places[n] := _places[n] + 1;
        _most := _most - 1;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION watchword.record_handovers(
    _at bigint, _provider text, _ids bigint[], _tokens int[], _states text[], _references text[],
    _reasons text[], _due_at bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
-- See ports.DeliveryStore.record_handovers.
DECLARE
    _challenge watchword.challenges;
BEGIN
    -- Where a dialect reports a refusal, the code that never arrived dies with it: its destination
    -- and its challenge are held before any delivery, as in every act.
    IF 'failed' = ANY (_states) THEN
        PERFORM FROM watchword.destinations x WHERE x.destination IN (
            SELECT c.destination FROM watchword.deliveries d
            JOIN watchword.challenges c ON c.serial = d.challenge
            WHERE d.id = ANY (_ids) AND d.cancel_if_refused AND c.state = 'pending')
        ORDER BY x.destination FOR UPDATE;
        PERFORM FROM watchword.challenges c WHERE c.serial IN (
            SELECT d.challenge FROM watchword.deliveries d
            WHERE d.id = ANY (_ids) AND d.cancel_if_refused)
        ORDER BY c.serial FOR UPDATE;
    END IF;
    PERFORM FROM watchword.deliveries d WHERE d.id = ANY (_ids) ORDER BY d.id FOR UPDATE;
    FOR i IN 1 .. cardinality(_ids) LOOP
        IF _states[i] = 'queued' THEN
            UPDATE watchword.deliveries d
            SET state = 'queued', provider = _provider, reason = _reasons[i],
                due_at = least(_due_at[i], d.expires_at)
            WHERE d.id = _ids[i] AND d.token = _tokens[i] AND d.state = 'sending'
              AND EXISTS (SELECT FROM watchword.challenges c
                          WHERE c.serial = d.challenge AND c.state = 'pending');
            IF NOT FOUND THEN
                -- Its challenge was closed, or swept, while it was being tried: not tried again.
                UPDATE watchword.deliveries d
                SET state = CASE WHEN d.expires_at <= _at THEN 'expired' ELSE 'cancelled' END,
                    code = '', recipient = '', due_at = NULL, settled_at = _at
                WHERE d.id = _ids[i] AND d.token = _tokens[i]
                  AND (d.state = 'sending' OR d.state = 'unknown' AND d.expires_at <= _at);
            END IF;
            CONTINUE;
        END IF;
        -- A late word is still the truth about a hand-over that was given up as unknown.
        UPDATE watchword.deliveries d
        SET state = _states[i], provider = _provider, reference = _references[i],
            reason = _reasons[i], code = '', recipient = '', due_at = NULL, settled_at = _at
        WHERE d.id = _ids[i] AND d.token = _tokens[i] AND d.state IN ('sending', 'unknown');
        IF FOUND AND _states[i] = 'failed' THEN
            SELECT c.* INTO _challenge FROM watchword.deliveries d
            JOIN watchword.challenges c ON c.serial = d.challenge
            WHERE d.id = _ids[i] AND d.cancel_if_refused AND c.state = 'pending';
            IF FOUND THEN
                PERFORM watchword.close(_challenge.serial, 'cancelled', _challenge.attempts, _at);
            END IF;
        END IF;
    END LOOP;
END $$;
