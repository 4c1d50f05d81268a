-- name: insert_log
-- One row that operators read.
INSERT INTO system_logs (timestamp, component, level, message, details) VALUES ($1, $2, $3, $4, $5);

-- name: recent_logs
-- The newest rows of a component.
SELECT * FROM system_logs WHERE component = $1 ORDER BY timestamp DESC, id DESC LIMIT $2;
