-- name: known_instances
-- What is stored of some instances of a scope, to find what changed.
SELECT instance_id, digest, generation, terminated_at IS NOT NULL AS gone FROM instances
WHERE account_id = $1 AND region = $2 AND instance_id IN (SELECT value FROM json_each($3));

-- name: upsert_instance
-- A new instance, or what changed of a known one; one that was gone is back.
INSERT INTO instances (
    account_id, region, instance_id, availability_zone, az_id, instance_type, state, lifecycle, asg_name, cluster,
    managed, tags, launched_at, product, tenancy, facts, digest, generation, terminated_at, first_seen_at, changed_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $20)
ON CONFLICT (account_id, region, instance_id) DO UPDATE SET
    availability_zone = excluded.availability_zone, az_id = excluded.az_id, instance_type = excluded.instance_type,
    state = excluded.state, lifecycle = excluded.lifecycle, asg_name = excluded.asg_name, cluster = excluded.cluster,
    managed = excluded.managed, tags = excluded.tags, launched_at = excluded.launched_at, product = excluded.product,
    tenancy = excluded.tenancy, facts = excluded.facts, digest = excluded.digest, generation = excluded.generation,
    terminated_at = excluded.terminated_at, changed_at = excluded.changed_at
WHERE instances.generation <= excluded.generation;

-- name: live_ids
-- The instances of a scope that are not gone, with the generation that wrote them.
SELECT instance_id, generation FROM instances WHERE account_id = $1 AND region = $2 AND terminated_at IS NULL
ORDER BY instance_id;

-- name: end_instance
-- A tombstone: the instance is gone, and a pass under way, which may have seen it before, does not bring it back.
UPDATE instances SET state = 'terminated', terminated_at = $3, changed_at = $3, generation = coalesce(
    (
        SELECT s.generation + 1 FROM scopes s
        WHERE s.account_id = instances.account_id AND s.region = instances.region
    ),
    generation
)
WHERE account_id = $1 AND instance_id = $2 AND terminated_at IS NULL;

-- name: set_state
-- A state that an event told; not the pass under way but the next one writes the row anew.
UPDATE instances SET state = $3, changed_at = $4, digest = '', generation = coalesce(
    (
        SELECT s.generation + 1 FROM scopes s
        WHERE s.account_id = instances.account_id AND s.region = instances.region
    ),
    generation
)
WHERE account_id = $1 AND instance_id = $2 AND state <> $3 AND terminated_at IS NULL;

-- name: get_load_balancers
-- Which load balancers serve the instances of a scope, as stored.
SELECT instance_id, load_balancers FROM instances
WHERE account_id = $1 AND region = $2 AND terminated_at IS NULL;

-- name: set_load_balancers
-- Which load balancers serve one instance.
UPDATE instances SET load_balancers = $4, changed_at = $5 WHERE account_id = $1 AND region = $2 AND instance_id = $3;

-- name: list_instances
-- A page of the inventory, the newest rows last, those that are gone included unless a state is asked for.
SELECT * FROM inventory
WHERE id > :after
  AND account_id = :account_id?
  AND region = :region?
  AND state = :state?
  AND lifecycle = :lifecycle?
  AND instance_type = :instance_type?
  AND (terminated_at IS NULL) = :live?
  AND EXISTS (SELECT 1 FROM json_each(tags) WHERE key = :tag_a? OR key || '=' || value = :tag_a?)
  AND EXISTS (SELECT 1 FROM json_each(tags) WHERE key = :tag_b? OR key || '=' || value = :tag_b?)
  AND EXISTS (SELECT 1 FROM json_each(tags) WHERE key = :tag_c? OR key || '=' || value = :tag_c?)
  AND EXISTS (SELECT 1 FROM json_each(tags) WHERE key = :tag_d? OR key || '=' || value = :tag_d?)
ORDER BY id LIMIT :limit;

-- name: some_instances
-- Some instances by AWS's ids, of one account or of any.
SELECT * FROM inventory
WHERE instance_id IN (SELECT value FROM json_each(:ids))
  AND account = :account?
ORDER BY id;

-- name: live_instances
-- A slice of what is not gone of an account, or of one of its regions.
SELECT * FROM inventory
WHERE account = :account AND terminated_at IS NULL AND id > :after
  AND region = :region?
ORDER BY id LIMIT :limit;

-- name: pools_in_use
-- The types and products that run anywhere, by region, and how many of each.
SELECT region, instance_type, product, count(*) AS number FROM instances
WHERE state IN ('pending', 'running', 'stopping', 'stopped')
  AND account_id = :account?
GROUP BY region, instance_type, product
ORDER BY region, instance_type, product;

-- name: running_ids
-- The running instances of an account, by region.
SELECT region, instance_id FROM instances
WHERE account_id = $1 AND state = 'running' AND terminated_at IS NULL
ORDER BY region, instance_id;
