-- name: insert_account
-- A new account, pending until its credentials are proven.
INSERT INTO accounts (account_id, name, status, external_id, regions, created_at, updated_at)
VALUES ($1, $2, 'pending', $3, $4, $5, $5)
ON CONFLICT (account_id) DO NOTHING
RETURNING *;

-- name: get_account
-- One account by its key.
SELECT * FROM accounts WHERE id = $1;

-- name: find_account
-- One account by AWS's twelve digits.
SELECT * FROM accounts WHERE account_id = $1;

-- name: list_accounts
-- A page of accounts in the order of their keys.
SELECT * FROM accounts WHERE id > $1 ORDER BY id LIMIT $2;

-- name: all_accounts
-- Every account.
SELECT * FROM accounts ORDER BY id;

-- name: lock_account
-- One account, which nobody else may change until this transaction ends.
UPDATE accounts SET name = name WHERE id = $1 RETURNING *;

-- name: set_status
-- A status change, if the account still has the status it was judged by.
UPDATE accounts SET status = $3, metadata = $4, updated_at = $5 WHERE id = $1 AND status = $2 RETURNING *;

-- name: set_conditions
-- All conditions of one account.
UPDATE accounts SET conditions = $2 WHERE id = $1;

-- name: set_metadata
-- All metadata of one account.
UPDATE accounts SET metadata = $2 WHERE id = $1;

-- name: set_connection
-- How credentials are got for an account.
UPDATE accounts SET connection_method = $2, role_arn = $3 WHERE id = $1 RETURNING *;

-- name: set_details
-- What the account's owner calls it and where it runs.
UPDATE accounts SET name = $2, regions = $3 WHERE id = $1 RETURNING *;

-- name: delete_secrets
-- Forget the sealed credentials of an account.
DELETE /* sealed */ FROM secrets WHERE account_id = $1;

-- name: insert_secret
-- Keep one sealed credential of an account.
INSERT /* sealed */ INTO secrets (account_id, field, ciphertext) VALUES ($1, $2, $3);

-- name: get_secrets
-- The sealed credentials of an account.
SELECT field, ciphertext FROM secrets WHERE account_id = $1 ORDER BY field;

-- name: all_secrets
-- A page of every sealed credential, for a rotation of keys.
SELECT s.account_id, s.field, s.ciphertext, a.account_id AS aws_account_id
FROM secrets s JOIN accounts a ON a.id = s.account_id
WHERE (s.account_id, s.field) > ($1, $2)
ORDER BY s.account_id, s.field LIMIT $3;

-- name: replace_secret
-- Reseal one credential, if it is still the one that was read.
UPDATE /* sealed */ secrets SET ciphertext = $4 WHERE account_id = $1 AND field = $2 AND ciphertext = $3;

-- name: delete_account
-- Delete an account; what hangs on its row goes with it.
DELETE /* sealed */ FROM accounts WHERE id = $1 RETURNING account_id;

-- name: delete_events
-- Delete the messages about an account, which name it by its twelve digits.
DELETE FROM inbox WHERE account_id = $1;

-- name: delete_tokens
-- Delete the tokens limited to an account.
DELETE FROM tokens WHERE account_id = $1;

-- name: count_accounts
-- How many accounts have each status.
SELECT status, count(*) AS number FROM accounts
WHERE 1 = 1
  AND account_id = :account_id?
GROUP BY status;
