-- Apps take turns within a channel: each delivery says whose it is, and what is due is found by app.

ALTER TABLE watchword.deliveries ADD COLUMN app_id text NOT NULL DEFAULT '';

UPDATE watchword.deliveries d SET app_id = c.app_id
FROM watchword.challenges c WHERE c.serial = d.challenge;

DROP INDEX watchword.deliveries_due;
CREATE INDEX deliveries_due ON watchword.deliveries (channel, app_id, due_at)
WHERE due_at IS NOT NULL;
