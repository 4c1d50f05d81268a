-- name: count_instances
-- What is not gone, by state and lifecycle.
SELECT state, lifecycle, count(*) AS number FROM instances
WHERE state IN ('pending', 'running', 'stopping', 'stopped')
  AND account_id = (SELECT id FROM accounts WHERE account_id = :account_id?)
GROUP BY state, lifecycle;

-- name: running_costs
-- What runs, by how it is bought and whether its price is known. Public prices hold for shared tenancy only.
SELECT
    p.lifecycle,
    sum(p.number) AS number,
    sum(CASE WHEN p.micros IS NULL THEN p.number ELSE 0 END) AS unpriced,
    sum(p.number * p.micros) AS micros,
    min(p.observed_at) AS oldest
FROM (
    SELECT
        g.lifecycle,
        g.number,
        CASE WHEN g.tenancy <> 'default' THEN NULL WHEN g.lifecycle = 'spot' THEN s.micros
            WHEN g.lifecycle = 'on-demand' THEN o.micros END AS micros,
        CASE WHEN g.lifecycle = 'spot' THEN s.observed_at WHEN g.lifecycle = 'on-demand' THEN o.observed_at
            END AS observed_at
    FROM (
        SELECT lifecycle, region, availability_zone, instance_type, product, tenancy, count(*) AS number
        FROM instances
        WHERE state = 'running'
          AND account_id = (SELECT id FROM accounts WHERE account_id = :account_id?)
        GROUP BY lifecycle, region, availability_zone, instance_type, product, tenancy
    ) g
    LEFT JOIN spot_prices s
        ON s.region = g.region AND s.az = g.availability_zone AND s.instance_type = g.instance_type
        AND s.product = g.product
    LEFT JOIN on_demand_prices o
        ON o.region = g.region AND o.instance_type = g.instance_type AND o.product = g.product
) p
GROUP BY p.lifecycle;

-- name: cpu_of_running
-- How busy what runs is, as far as it was measured.
SELECT count(*) AS measured, avg(c.average_percent) AS percent, min(c.observed_at) AS oldest
FROM cpu_usage c
JOIN instances i ON i.instance_id = c.instance_id AND i.account_id = c.account_id AND i.state = 'running'
WHERE 1 = 1
  AND c.account_id = (SELECT id FROM accounts WHERE account_id = :account_id?);
