-- Apps take turns within a channel: each delivery says whose it is, and what is due is found by app.

ALTER TABLE deliveries ADD COLUMN app_id TEXT NOT NULL DEFAULT '';

UPDATE deliveries SET app_id = coalesce(
    (SELECT c.app_id FROM challenges c WHERE c.serial = deliveries.challenge), '');

DROP INDEX deliveries_due;
CREATE INDEX deliveries_due ON deliveries (channel, app_id, due_at) WHERE due_at IS NOT NULL;
