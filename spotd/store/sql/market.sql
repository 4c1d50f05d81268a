-- name: upsert_spot_price
-- The newest Spot price of a pool; an older one never wins.
INSERT INTO spot_prices (region, az, instance_type, product, az_id, micros, observed_at, source)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (region, az, instance_type, product) DO UPDATE SET
    az_id = coalesce(excluded.az_id, spot_prices.az_id), micros = excluded.micros, observed_at = excluded.observed_at,
    source = excluded.source
WHERE spot_prices.observed_at < excluded.observed_at;

-- name: insert_spot_history
-- One step of a pool's price; a step known already stays.
INSERT INTO spot_price_history (region, az, instance_type, product, observed_at, micros)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (region, az, instance_type, product, observed_at) DO NOTHING;

-- name: spot_prices_of
-- The newest Spot prices of some regions.
SELECT * FROM spot_prices WHERE region IN (SELECT value FROM json_each($1));

-- name: last_spot_price
-- When the newest price change of a region was.
SELECT max(observed_at) AS observed_at FROM spot_prices WHERE region = $1;

-- name: spot_history
-- A pool's price steps since a moment, and the one in force then.
SELECT h.observed_at, h.micros FROM spot_price_history h
WHERE h.region = $1 AND h.az = $2 AND h.instance_type = $3 AND h.product = $4
  AND h.observed_at >= coalesce(
    (
        SELECT max(b.observed_at) FROM spot_price_history b
        WHERE b.region = $1 AND b.az = $2 AND b.instance_type = $3 AND b.product = $4 AND b.observed_at <= $5
    ),
    $5
  )
ORDER BY h.observed_at;

-- name: upsert_on_demand_price
-- The public on-demand price of a type in a region.
INSERT INTO on_demand_prices (region, instance_type, product, micros, observed_at, source)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (region, instance_type, product) DO UPDATE SET
    micros = excluded.micros, observed_at = excluded.observed_at, source = excluded.source
WHERE on_demand_prices.observed_at <= excluded.observed_at;

-- name: on_demand_prices_of
-- The on-demand prices of some regions.
SELECT * FROM on_demand_prices WHERE region IN (SELECT value FROM json_each($1));

-- name: delete_advisor_rates
-- The feed is replaced as a whole.
DELETE FROM advisor_rates;

-- name: insert_advisor_rate
-- One row of the Spot Advisor feed.
INSERT INTO advisor_rates (region, instance_type, product, band, savings_percent, observed_at, source)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (region, instance_type, product) DO UPDATE SET
    band = excluded.band, savings_percent = excluded.savings_percent, observed_at = excluded.observed_at;

-- name: advisor_rates_of
-- The Spot Advisor's rates of some regions.
SELECT * FROM advisor_rates WHERE region IN (SELECT value FROM json_each($1));

-- name: upsert_instance_type
-- What an instance type offers.
INSERT INTO instance_types (name, facts, observed_at) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET facts = excluded.facts, observed_at = excluded.observed_at;

-- name: all_instance_types
-- What every known instance type offers.
SELECT name, facts FROM instance_types;

-- name: upsert_cpu_usage
-- What CloudWatch says of one instance.
INSERT INTO cpu_usage (account_id, instance_id, average_percent, peak_percent, hours, observed_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (account_id, instance_id) DO UPDATE SET
    average_percent = excluded.average_percent, peak_percent = excluded.peak_percent, hours = excluded.hours,
    observed_at = excluded.observed_at;

-- name: cpu_usage_of
-- What CloudWatch says of an account's instances.
SELECT * FROM cpu_usage WHERE account_id = $1;

-- name: list_prices
-- A page of pools with both prices, and of types whose Spot price is not known, which stand without a zone.
SELECT * FROM (
    SELECT
        s.region, s.az, s.instance_type, s.product, s.az_id, s.micros AS spot_micros, o.micros AS on_demand_micros,
        s.source, s.observed_at
    FROM spot_prices s
    LEFT JOIN on_demand_prices o
        ON o.region = s.region AND o.instance_type = s.instance_type AND o.product = s.product
    UNION ALL
    SELECT
        o.region, '' AS az, o.instance_type, o.product, NULL AS az_id, NULL AS spot_micros,
        o.micros AS on_demand_micros, o.source, o.observed_at
    FROM on_demand_prices o
    WHERE NOT EXISTS (
        SELECT 1 FROM spot_prices s
        WHERE s.region = o.region AND s.instance_type = o.instance_type AND s.product = o.product
    )
) pools
WHERE (region, az, instance_type, product) > (:last_region, :last_az, :last_type, :last_product)
  AND region = :region?
  AND az = :az?
  AND instance_type = :instance_type?
  AND product = :product?
ORDER BY region, az, instance_type, product LIMIT :limit;
