-- name: all_states
-- The last known status of every component.
SELECT * FROM health_state ORDER BY component;

-- name: save_state
-- A component's status, and since when it has it.
INSERT INTO health_state (component, status, since) VALUES ($1, $2, $3)
ON CONFLICT (component) DO UPDATE SET status = excluded.status, since = excluded.since;

-- name: insert_transition
-- One change of a component's status.
INSERT INTO health_history (component, before_status, after_status, at, details) VALUES ($1, $2, $3, $4, $5);

-- name: list_transitions
-- A page of changes, the newest first.
SELECT * FROM health_history
WHERE id < :before
  AND component = :component?
ORDER BY id DESC LIMIT :limit;
