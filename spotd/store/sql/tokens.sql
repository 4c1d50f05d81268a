-- name: find_token
-- The token with this hash.
SELECT * FROM tokens WHERE digest = $1;

-- name: insert_token
-- A new token, as its hash.
INSERT INTO tokens (name, digest, scopes, account_id, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
RETURNING *;

-- name: delete_named
-- Every token of one name.
DELETE FROM tokens WHERE name = $1;

-- name: list_tokens
-- A page of tokens in the order they were made.
SELECT * FROM tokens WHERE id > $1 ORDER BY id LIMIT $2;

-- name: delete_token
-- A token that opens nothing any more.
DELETE FROM tokens WHERE id = $1;
