-- name: record_success
-- A good pass over a source.
INSERT INTO passes (source, last_ok_at) VALUES ($1, $2)
ON CONFLICT (source) DO UPDATE SET
    last_ok_at = excluded.last_ok_at, last_error = NULL, error_at = NULL, misshapen = FALSE;

-- name: record_failure
-- A pass that failed; when the last good one was stays.
INSERT INTO passes (source, last_error, error_at, misshapen) VALUES ($1, $2, $3, $4)
ON CONFLICT (source) DO UPDATE SET
    last_error = excluded.last_error, error_at = excluded.error_at, misshapen = excluded.misshapen;

-- name: all_passes
-- Every source and what became of its passes.
SELECT * FROM passes ORDER BY source;
