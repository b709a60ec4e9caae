-- Sweeping what nobody holds, a bounded handful at a time.

CREATE OR REPLACE FUNCTION watchword.wipe(
    _since bigint, _after bigint, _at bigint, _most int, _looks int,
    OUT wiped int, OUT has_more boolean, OUT until bigint, OUT last bigint,
    OUT again_since bigint, OUT again_after bigint
) LANGUAGE plpgsql AS $$
-- Of the next few challenges whose time is over: drop the codes of those that nobody answered, and
-- settle what of them was still to be sent. Says how many, whether there may be more, and after which
-- one to go on; and, where one that is held was passed by, after which to begin again in the end.
DECLARE
    _seen record;
    _next record;
    _dead bigint[] := '{}';
BEGIN
    until := _since;
    last := _after;
    has_more := false;
    FOR _seen IN
        SELECT c.serial, c.expires_at, c.state FROM watchword.challenges c
        WHERE (c.expires_at, c.serial) > (_since, _after) AND c.expires_at <= _at
        ORDER BY c.expires_at, c.serial LIMIT _looks
    LOOP
        _looks := _looks - 1;
        IF _seen.state = 'pending' THEN
            IF cardinality(_dead) >= _most THEN
                has_more := true;
                EXIT;
            END IF;
            SELECT c.state, c.expires_at INTO _next FROM watchword.challenges c
            WHERE c.serial = _seen.serial FOR UPDATE SKIP LOCKED;
            IF NOT FOUND AND again_since IS NULL THEN
                again_since := until;
                again_after := last;
            END IF;
            IF _next.state = 'pending' AND _next.expires_at <= _at THEN
                _dead := _dead || _seen.serial;
            END IF;
        END IF;
        until := _seen.expires_at;
        last := _seen.serial;
    END LOOP;
    has_more := has_more OR _looks = 0;
    wiped := cardinality(_dead);
    UPDATE watchword.challenges c
    SET state = 'expired', closed_at = c.expires_at,
        digests = '{}', drawn_at = '{}', dies_at = '{}', sealed = '{}'
    WHERE c.serial = ANY (_dead);
    UPDATE watchword.deliveries d
    SET state = CASE d.state WHEN 'sending' THEN 'unknown' ELSE 'expired' END,
        code = '', recipient = '', due_at = NULL, settled_at = _at
    WHERE d.id IN (SELECT e.id FROM watchword.deliveries e
                   WHERE e.challenge = ANY (_dead) AND e.due_at IS NOT NULL
                   ORDER BY e.id FOR UPDATE)
      AND d.due_at IS NOT NULL;
END $$;
