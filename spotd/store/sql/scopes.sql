-- name: begin_pass
-- A new pass over a region: from now on no older pass writes.
INSERT INTO scopes (account_id, region, generation, started_at) VALUES ($1, $2, 1, $3)
ON CONFLICT (account_id, region) DO UPDATE SET generation = scopes.generation + 1, started_at = excluded.started_at
RETURNING generation;

-- name: hold_pass
-- Hold a scope until this transaction ends, if this pass is still its newest.
UPDATE scopes SET generation = generation WHERE account_id = $1 AND region = $2 AND generation = $3;

-- name: complete_pass
-- A pass that saw everything.
UPDATE scopes SET completed_at = $4, instance_count = $5, error = NULL, error_at = NULL
WHERE account_id = $1 AND region = $2 AND generation = $3;

-- name: fail_pass
-- A pass that did not see everything; what an older one saw stays.
UPDATE scopes SET error = $4, error_at = $5 WHERE account_id = $1 AND region = $2 AND generation = $3;

-- name: get_scope
-- One region of one account.
SELECT * FROM scopes WHERE account_id = $1 AND region = $2;

-- name: list_scopes
-- Every region of every account, or of one.
SELECT * FROM scopes
WHERE 1 = 1
  AND account_id = :account?
ORDER BY account_id, region;

-- name: delete_scope
-- Forget a region that the account no longer uses.
DELETE FROM scopes WHERE account_id = $1 AND region = $2;
