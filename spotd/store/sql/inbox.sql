-- name: known_keys
-- Which of some keys are stored already.
SELECT key FROM inbox WHERE key IN (SELECT value FROM json_each($1));

-- name: insert_event
-- A message, durable from here on; one known already stays as it was.
INSERT INTO inbox (
    key, kind, outcome, reason, event_source, detail_type, account_id, region, instance_ids, time, action, state,
    source, body, received_at, processed_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (key) DO NOTHING;

-- name: quarantine_event
-- A message that nobody understands; the same again is counted.
INSERT INTO event_quarantine (key, kind, reason, source, body, received_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (key) DO UPDATE SET times = event_quarantine.times + 1, received_at = excluded.received_at;

-- name: list_events
-- A page of messages, the newest first.
SELECT * FROM inbox
WHERE id < :before
  AND kind = :kind?
  AND account_id = :account_id?
ORDER BY id DESC LIMIT :limit;

-- name: list_quarantine
-- A page of what nobody understood, the newest first.
SELECT * FROM event_quarantine WHERE id < $1 ORDER BY id DESC LIMIT $2;

-- name: get_quarantined
-- One message that nobody understood.
SELECT * FROM event_quarantine WHERE id = $1;

-- name: delete_quarantined
-- A message that was replayed leaves the quarantine.
DELETE FROM event_quarantine WHERE id = $1;

-- name: unprocessed
-- Accepted messages that nothing was done about yet: interruptions first, then by age.
SELECT * FROM inbox WHERE processed_at IS NULL
ORDER BY CASE kind WHEN 'interruption' THEN 0 WHEN 'rebalance' THEN 1 ELSE 2 END, id LIMIT $1;

-- name: mark_processed
-- A message is done, once.
UPDATE inbox SET processed_at = $2, result = $3 WHERE id = $1 AND processed_at IS NULL;

-- name: backlog
-- How many messages wait, and since when.
SELECT count(*) AS depth, min(received_at) AS oldest FROM inbox WHERE processed_at IS NULL;

-- name: count_outcomes
-- How many messages came to what.
SELECT kind, outcome, count(*) AS number FROM inbox GROUP BY kind, outcome;
