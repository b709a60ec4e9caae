-- The journal: what tells events, and what a scribe does with them.

CREATE OR REPLACE FUNCTION watchword.tell_challenge() RETURNS trigger LANGUAGE plpgsql AS $$
-- However a challenge ends, its end is told.
BEGIN
    INSERT INTO watchword.events (
        at, kind, app_id, channel, purpose, challenge_id, subject, masked)
    VALUES (coalesce(NEW.closed_at, NEW.expires_at), NEW.state, NEW.app_id, NEW.channel, NEW.purpose,
            NEW.id, NEW.destination, NEW.masked);
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER tell_challenge AFTER UPDATE OF state ON watchword.challenges
FOR EACH ROW WHEN (NEW.state <> OLD.state) EXECUTE FUNCTION watchword.tell_challenge();

CREATE OR REPLACE FUNCTION watchword.tell_message() RETURNS trigger LANGUAGE plpgsql AS $$
-- However a message ends, its end is told.
BEGIN
    INSERT INTO watchword.events (
        at, kind, app_id, channel, purpose, challenge_id, subject, masked, details)
    SELECT coalesce(NEW.settled_at, NEW.queued_at),
           'message_' || CASE NEW.state WHEN 'failed' THEN 'refused' ELSE NEW.state END,
           c.app_id, NEW.channel, c.purpose, c.id, c.destination, c.masked,
           json_build_object('delivery', NEW.id, 'provider', NEW.provider)::text
    FROM watchword.challenges c WHERE c.serial = NEW.challenge;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER tell_message AFTER UPDATE OF state ON watchword.deliveries
FOR EACH ROW WHEN (NEW.state <> OLD.state AND NEW.state NOT IN ('queued', 'leased', 'sending'))
EXECUTE FUNCTION watchword.tell_message();

CREATE OR REPLACE FUNCTION watchword.begin_chain(
    _number bigint, _day text, _mac bytea, _chains bigint, _roll bytea
) RETURNS boolean LANGUAGE plpgsql AS $$
-- See ports.JournalStore.begin_chain.
BEGIN
    IF _chains = 1 THEN
        INSERT INTO watchword.chains (number, day, entries, last, standing, mac)
        VALUES (0, '', 1, '', 'roll', _roll) ON CONFLICT DO NOTHING;
    ELSE
        UPDATE watchword.chains c SET entries = _chains, mac = _roll
        WHERE c.number = 0 AND c.entries = _chains - 1;
    END IF;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO watchword.chains (number, day, entries, last, standing, mac)
    VALUES (_number, _day, 0, '', 'open', _mac);
    RETURN true;
END $$;

CREATE OR REPLACE FUNCTION watchword.seal(
    _number bigint, _entries bigint, _last bytea, _standing text, _mac bytea, _events bigint[],
    _commitments bytea[], _macs bytea[], _salts bytea[], _bodies bytea[], _subjects bytea[],
    _webhooks text[], _keys text[], _notices text[], _told_at bigint[], _about bytea[], _told text[]
) RETURNS boolean LANGUAGE plpgsql AS $$
-- See ports.JournalStore.seal. The events are held before anything is written.
DECLARE
    _before bigint := _entries - cardinality(_macs);
BEGIN
    PERFORM FROM watchword.events e WHERE e.id = ANY (_events) ORDER BY e.id FOR UPDATE;
    IF (SELECT count(*) FROM watchword.events e WHERE e.id = ANY (_events))
       <> cardinality(_events) THEN
        RETURN false;
    END IF;
    UPDATE watchword.chains c
    SET entries = _entries, last = _last, standing = _standing, mac = _mac
    WHERE c.number = _number AND c.entries = _before;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM watchword.events e WHERE e.id = ANY (_events);
    INSERT INTO watchword.journal (chain, position, commitment, mac, salt, body, subject)
    SELECT _number, _before + i - 1, _commitments[i], _macs[i], _salts[i], _bodies[i], _subjects[i]
    FROM generate_series(1, cardinality(_macs)) i;
    INSERT INTO watchword.notices (webhook, key, notice, at, subject, told, due_at)
    SELECT _webhooks[i], _keys[i], _notices[i], _told_at[i], _about[i], _told[i], _told_at[i]
    FROM generate_series(1, cardinality(_keys)) i;
    RETURN true;
END $$;

CREATE OR REPLACE FUNCTION watchword.erase(
    _subjects bytea[], _chains bigint[], _positions bigint[], _marks bytea[],
    OUT events bigint, OUT challenges bigint, OUT deliveries bigint
) LANGUAGE plpgsql AS $$
-- See ports.JournalStore.erase. As in every act, its destinations are held first.
DECLARE
    _serials bigint[];
    _ids text[];
    _unsealed bigint;
BEGIN
    PERFORM FROM watchword.destinations d WHERE d.destination = ANY (_subjects)
    ORDER BY d.destination FOR UPDATE;
    SELECT coalesce(array_agg(c.serial), '{}'), coalesce(array_agg(c.id), '{}')
    INTO _serials, _ids
    FROM watchword.challenges c WHERE c.destination = ANY (_subjects);
    PERFORM FROM watchword.challenges c WHERE c.serial = ANY (_serials) ORDER BY c.serial FOR UPDATE;
    PERFORM FROM watchword.deliveries d WHERE d.challenge = ANY (_serials) ORDER BY d.id FOR UPDATE;
    DELETE FROM watchword.deliveries d WHERE d.challenge = ANY (_serials);
    GET DIAGNOSTICS deliveries = ROW_COUNT;
    DELETE FROM watchword.challenges c WHERE c.serial = ANY (_serials);
    GET DIAGNOSTICS challenges = ROW_COUNT;
    DELETE FROM watchword.onces o
    WHERE EXISTS (SELECT FROM unnest(_ids) i WHERE strpos(o.answer::text, i) > 0);
    UPDATE watchword.journal j SET salt = NULL, body = NULL, subject = NULL, erased = m.mark
    FROM unnest(_chains, _positions, _marks) AS m (chain, position, mark)
    WHERE j.chain = m.chain AND j.position = m.position;
    GET DIAGNOSTICS events = ROW_COUNT;
    DELETE FROM watchword.notices n WHERE n.subject = ANY (_subjects);
    DELETE FROM watchword.events e WHERE e.subject = ANY (_subjects);
    GET DIAGNOSTICS _unsealed = ROW_COUNT;
    events := events + _unsealed;
END $$;
