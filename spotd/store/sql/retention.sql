-- name: prune_logs
-- Log rows nobody reads any more.
DELETE FROM system_logs WHERE id IN (SELECT id FROM system_logs WHERE timestamp < $1 ORDER BY timestamp LIMIT $2);

-- name: prune_events
-- Messages that were handled long ago.
DELETE FROM inbox WHERE id IN (
    SELECT id FROM inbox WHERE received_at < $1 AND processed_at IS NOT NULL ORDER BY received_at LIMIT $2
);

-- name: prune_quarantine
-- Messages that nobody understood, nor will.
DELETE FROM event_quarantine WHERE id IN (
    SELECT id FROM event_quarantine WHERE received_at < $1 ORDER BY received_at LIMIT $2
);

-- name: prune_health
-- Old changes of components' health.
DELETE FROM health_history WHERE id IN (SELECT id FROM health_history WHERE at < $1 ORDER BY at LIMIT $2);

-- name: prune_prices
-- Old price steps, but not the one in force: a price may stand for months.
DELETE FROM spot_price_history
WHERE (region, az, instance_type, product, observed_at) IN (
    SELECT h.region, h.az, h.instance_type, h.product, h.observed_at FROM spot_price_history h
    JOIN spot_prices s
        ON s.region = h.region AND s.az = h.az AND s.instance_type = h.instance_type AND s.product = h.product
    WHERE h.observed_at < $1 AND h.observed_at < s.observed_at
    ORDER BY h.observed_at LIMIT $2
);

-- name: prune_recommendations
-- Advice that has not stood for long.
DELETE FROM recommendations WHERE id IN (
    SELECT id FROM recommendations WHERE closed_at < $1 ORDER BY closed_at LIMIT $2
);

-- name: prune_instances
-- Instances that are long gone.
DELETE FROM instances WHERE id IN (
    SELECT id FROM instances WHERE terminated_at < $1 ORDER BY terminated_at LIMIT $2
);

-- name: prune_cpu
-- What CloudWatch once said of instances that nobody asks about any more.
DELETE FROM cpu_usage WHERE (account_id, instance_id) IN (
    SELECT account_id, instance_id FROM cpu_usage WHERE observed_at < $1 ORDER BY observed_at LIMIT $2
);
