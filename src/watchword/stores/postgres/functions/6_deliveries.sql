-- Recording how hand-overs ended. Leasing and beginning are statements (queries.sql).

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
