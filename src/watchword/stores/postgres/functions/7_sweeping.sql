-- Sweeping what nobody holds, a bounded handful at a time. What is held is met again.

CREATE OR REPLACE FUNCTION watchword.wipe(
    _since bigint, _at bigint, _most int, OUT wiped int, OUT seen int, OUT until bigint
) LANGUAGE plpgsql AS $$
-- Drop the codes of challenges that expired unanswered, and settle what was still to be sent. Says how
-- many, how many it saw, and up to which instant none is left.
DECLARE
    _dead bigint[];
    _held bigint[];
BEGIN
    SELECT array_agg(x.serial), count(*), max(x.expires_at) INTO _dead, seen, until
    FROM (SELECT c.serial, c.expires_at FROM watchword.challenges c
          WHERE c.expires_at > _since AND c.expires_at <= _at AND c.state = 'pending'
          ORDER BY c.expires_at LIMIT _most) x;
    SELECT array_agg(x.serial) INTO _held
    FROM (SELECT c.serial FROM watchword.challenges c
          WHERE c.serial = ANY (_dead) AND c.state = 'pending' AND c.expires_at <= _at
          FOR UPDATE SKIP LOCKED) x;
    wiped := coalesce(cardinality(_held), 0);
    IF wiped < seen THEN
        until := _since;
    ELSIF seen < _most THEN
        until := _at;
    ELSE
        -- Several may share an instant: the last one is looked at again.
        until := until - 1;
    END IF;
    UPDATE watchword.challenges c
    SET state = 'expired', closed_at = c.expires_at,
        digests = '{}', drawn_at = '{}', dies_at = '{}', sealed = '{}'
    WHERE c.serial = ANY (_held);
    UPDATE watchword.deliveries d
    SET state = CASE d.state WHEN 'sending' THEN 'unknown' ELSE 'expired' END,
        code = '', recipient = '', due_at = NULL, settled_at = _at
    WHERE d.id IN (SELECT e.id FROM watchword.deliveries e
                   WHERE e.challenge = ANY (_held) AND e.due_at IS NOT NULL
                   ORDER BY e.id FOR UPDATE)
      AND d.due_at IS NOT NULL;
END $$;
