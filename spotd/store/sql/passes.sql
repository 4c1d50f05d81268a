-- name: record_ok
-- A good pass over a source.
INSERT INTO passes (source, last_ok_at, details) VALUES ($1, $2, $3)
ON CONFLICT (source) DO UPDATE SET
    last_ok_at = excluded.last_ok_at, last_error = NULL, error_at = NULL, details = excluded.details;

-- name: record_failure
-- A pass that failed; when the last good one was stays.
INSERT INTO passes (source, last_error, error_at) VALUES ($1, $2, $3)
ON CONFLICT (source) DO UPDATE SET last_error = excluded.last_error, error_at = excluded.error_at;

-- name: all_passes
-- Every source and what became of its passes.
SELECT * FROM passes ORDER BY source;
