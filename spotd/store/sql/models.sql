-- name: retire_active
-- The model that served until now retires.
UPDATE models SET state = 'retired', changed_at = $3 WHERE name = $1 AND version <> $2 AND state = 'active';

-- name: upsert_model
-- A version of a model and its state.
INSERT INTO models (name, version, state, details, changed_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (name, version) DO UPDATE SET
    state = excluded.state, details = excluded.details, changed_at = excluded.changed_at;

-- name: list_models
-- Every version of every model, the newest change first.
SELECT * FROM models ORDER BY name, changed_at DESC, version;
