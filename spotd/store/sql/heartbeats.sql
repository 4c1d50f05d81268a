-- name: beat
-- What another process says of itself; an older word never wins.
INSERT INTO heartbeats (name, at, details) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET at = excluded.at, details = excluded.details WHERE heartbeats.at <= excluded.at;

-- name: get_heartbeat
-- What one process last said of itself.
SELECT * FROM heartbeats WHERE name = $1;
