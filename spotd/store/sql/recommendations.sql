-- name: open_digests
-- What an account is advised now.
SELECT id, digest, expires_at FROM recommendations WHERE account_id = $1 AND state = 'open';

-- name: insert_advice
-- A new piece of advice.
INSERT INTO recommendations (
    account_id, kind, instance_ids, source, target, saving_micros_per_hour, saving_micros_per_month, verdict, reasons,
    digest, state, created_at, expires_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'open', $11, $12)
ON CONFLICT (account_id, digest) WHERE state = 'open' DO NOTHING;

-- name: supersede
-- Advice that no longer stands.
UPDATE recommendations SET state = 'superseded', closed_at = $2 WHERE id = $1 AND state = 'open';

-- name: prolong
-- Advice that still stands lives on; one that has long to live is not touched.
UPDATE recommendations SET expires_at = $2 WHERE account_id = $1 AND state = 'open' AND expires_at < $3;

-- name: expire
-- Advice that nobody confirmed in time.
UPDATE recommendations SET state = 'expired', closed_at = $1 WHERE state = 'open' AND expires_at <= $1;

-- name: list_recommendations
-- A page of advice, the newest first, with AWS's id of its account.
SELECT r.*, a.account_id AS aws_account_id FROM recommendations r JOIN accounts a ON a.id = r.account_id
WHERE r.id < :before
  AND a.account_id = :account_id?
  AND r.verdict = :verdict?
  AND r.state = :state?
ORDER BY r.id DESC LIMIT :limit;

-- name: get_recommendation
-- One piece of advice, with AWS's id of its account.
SELECT r.*, a.account_id AS aws_account_id FROM recommendations r JOIN accounts a ON a.id = r.account_id
WHERE r.id = $1;

-- name: count_open
-- How many pieces of advice stand, and what they would save.
SELECT verdict, count(*) AS number, sum(saving_micros_per_hour) AS saving FROM recommendations
WHERE state = 'open'
  AND account_id = :account?
GROUP BY verdict;
