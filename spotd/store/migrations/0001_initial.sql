-- The tables `accounts`, `instances` and `system_logs` are read by other programs: columns may be added at their end,
-- never renamed. Times are UTC; on SQLite fixed-width ISO 8601 text. JSON is text on both engines. Money is micro-dollars.

CREATE TABLE accounts (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id        TEXT NOT NULL UNIQUE,
    name              TEXT NOT NULL,
    status            TEXT NOT NULL CHECK (status IN ('pending', 'connected', 'active', 'failed')),
    connection_method TEXT CHECK (connection_method IN ('iam_role', 'access_keys')),
    role_arn          TEXT,
    external_id       TEXT,
    regions           TEXT NOT NULL DEFAULT '[]',
    conditions        TEXT NOT NULL DEFAULT '[]',
    metadata          TEXT NOT NULL DEFAULT '{}',
    created_at        TIMESTAMPTZ NOT NULL,
    updated_at        TIMESTAMPTZ NOT NULL
);

-- Ciphertext only; account and field are bound into it, so that a value moved to another row does not open.
CREATE TABLE secrets (
    account_id BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    field      TEXT NOT NULL,
    ciphertext TEXT NOT NULL,
    PRIMARY KEY (account_id, field)
);

CREATE TABLE instances (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id        BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    instance_id       TEXT NOT NULL,
    region            TEXT NOT NULL,
    availability_zone TEXT,
    az_id             TEXT,
    instance_type     TEXT NOT NULL,
    state             TEXT NOT NULL,
    lifecycle         TEXT NOT NULL,
    asg_name          TEXT,
    cluster           TEXT,
    managed           BOOLEAN NOT NULL,
    tags              TEXT NOT NULL,
    launched_at       TIMESTAMPTZ,
    first_seen_at     TIMESTAMPTZ NOT NULL,
    changed_at        TIMESTAMPTZ NOT NULL,
    terminated_at     TIMESTAMPTZ,
    product           TEXT NOT NULL,
    tenancy           TEXT NOT NULL,
    load_balancers    TEXT NOT NULL DEFAULT '[]',
    facts             TEXT NOT NULL,
    digest            TEXT NOT NULL,
    generation        BIGINT NOT NULL,
    UNIQUE (account_id, region, instance_id)
);

CREATE INDEX instances_instance_id ON instances (instance_id, account_id, state);
CREATE INDEX instances_account ON instances (account_id, id);
CREATE INDEX instances_region ON instances (region, id);
CREATE INDEX instances_type ON instances (instance_type, id);
-- Holds every column of the overview's counts and costs, and finds the instances of a state or lifecycle.
CREATE INDEX instances_pools ON instances (
    state, lifecycle, region, availability_zone, instance_type, product, tenancy, account_id
);
CREATE INDEX instances_terminated ON instances (terminated_at) WHERE terminated_at IS NOT NULL;

CREATE TABLE scopes (
    account_id     BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    region         TEXT NOT NULL,
    generation     BIGINT NOT NULL,
    started_at     TIMESTAMPTZ NOT NULL,
    completed_at   TIMESTAMPTZ,
    instance_count BIGINT,
    error          TEXT,
    error_at       TIMESTAMPTZ,
    PRIMARY KEY (account_id, region)
);

CREATE VIEW inventory AS
SELECT
    i.id, a.account_id, i.account_id AS account, i.instance_id, i.region, i.availability_zone, i.az_id, i.instance_type,
    i.state, i.lifecycle, i.asg_name, i.cluster, i.managed, i.tags, i.launched_at, i.first_seen_at, i.changed_at,
    i.terminated_at, i.product, i.tenancy, i.load_balancers, i.facts, s.completed_at AS scope_completed_at
FROM instances i
JOIN accounts a ON a.id = i.account_id
LEFT JOIN scopes s ON s.account_id = i.account_id AND s.region = i.region;

CREATE TABLE system_logs (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp TIMESTAMPTZ NOT NULL,
    component TEXT NOT NULL,
    level     TEXT NOT NULL,
    message   TEXT NOT NULL,
    details   TEXT NOT NULL DEFAULT '{}'
);

CREATE INDEX system_logs_component ON system_logs (component, timestamp);
CREATE INDEX system_logs_timestamp ON system_logs (timestamp);

CREATE TABLE spot_prices (
    region        TEXT NOT NULL,
    az            TEXT NOT NULL,
    instance_type TEXT NOT NULL,
    product       TEXT NOT NULL,
    az_id         TEXT,
    micros        BIGINT NOT NULL,
    observed_at   TIMESTAMPTZ NOT NULL,
    source        TEXT NOT NULL,
    PRIMARY KEY (region, az, instance_type, product)
);

CREATE INDEX spot_prices_type ON spot_prices (instance_type, region, product);

CREATE TABLE spot_price_history (
    region        TEXT NOT NULL,
    az            TEXT NOT NULL,
    instance_type TEXT NOT NULL,
    product       TEXT NOT NULL,
    observed_at   TIMESTAMPTZ NOT NULL,
    micros        BIGINT NOT NULL,
    PRIMARY KEY (region, az, instance_type, product, observed_at)
);

CREATE INDEX spot_price_history_observed_at ON spot_price_history (observed_at);

CREATE TABLE on_demand_prices (
    region        TEXT NOT NULL,
    instance_type TEXT NOT NULL,
    product       TEXT NOT NULL,
    micros        BIGINT NOT NULL,
    observed_at   TIMESTAMPTZ NOT NULL,
    source        TEXT NOT NULL,
    PRIMARY KEY (region, instance_type, product)
);

CREATE TABLE advisor_rates (
    region          TEXT NOT NULL,
    instance_type   TEXT NOT NULL,
    product         TEXT NOT NULL,
    band            INTEGER NOT NULL CHECK (band BETWEEN 0 AND 4),
    savings_percent INTEGER NOT NULL,
    observed_at     TIMESTAMPTZ NOT NULL,
    source          TEXT NOT NULL,
    PRIMARY KEY (region, instance_type, product)
);

CREATE TABLE instance_types (
    name        TEXT PRIMARY KEY,
    facts       TEXT NOT NULL,
    observed_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE cpu_usage (
    account_id      BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    instance_id     TEXT NOT NULL,
    average_percent DOUBLE PRECISION NOT NULL,
    peak_percent    DOUBLE PRECISION NOT NULL,
    hours           INTEGER NOT NULL,
    observed_at     TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (account_id, instance_id)
);

CREATE INDEX cpu_usage_observed_at ON cpu_usage (observed_at);

-- One row per source of facts: when its last good pass ended, what a failure since said, and whether the source answered
-- in a shape nobody knows.
CREATE TABLE passes (
    source     TEXT PRIMARY KEY,
    last_ok_at TIMESTAMPTZ,
    last_error TEXT,
    error_at   TIMESTAMPTZ,
    misshapen  BOOLEAN NOT NULL DEFAULT FALSE
);

CREATE TABLE inbox (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    key          TEXT NOT NULL UNIQUE,
    kind         TEXT NOT NULL,
    outcome      TEXT NOT NULL,
    reason       TEXT,
    event_source TEXT NOT NULL,
    detail_type  TEXT NOT NULL,
    account_id   TEXT,
    region       TEXT,
    instance_ids TEXT NOT NULL,
    time         TIMESTAMPTZ,
    action       TEXT,
    state        TEXT,
    source       TEXT NOT NULL,
    body         TEXT NOT NULL,
    received_at  TIMESTAMPTZ NOT NULL,
    processed_at TIMESTAMPTZ,
    result       TEXT
);

CREATE INDEX inbox_unprocessed ON inbox (id) WHERE processed_at IS NULL;
CREATE INDEX inbox_kind ON inbox (kind, id);
CREATE INDEX inbox_account_id ON inbox (account_id, id);
CREATE INDEX inbox_received_at ON inbox (received_at);

CREATE TABLE event_quarantine (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    key         TEXT NOT NULL UNIQUE,
    kind        TEXT,
    reason      TEXT NOT NULL,
    source      TEXT NOT NULL,
    body        TEXT NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    times       INTEGER NOT NULL DEFAULT 1
);

CREATE INDEX event_quarantine_received_at ON event_quarantine (received_at);

CREATE TABLE recommendations (
    id                      INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id              BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    kind                    TEXT NOT NULL,
    instance_ids            TEXT NOT NULL,
    source                  TEXT NOT NULL,
    target                  TEXT,
    saving_micros_per_hour  BIGINT,
    saving_micros_per_month BIGINT,
    verdict                 TEXT NOT NULL,
    reasons                 TEXT NOT NULL,
    digest                  TEXT NOT NULL,
    state                   TEXT NOT NULL CHECK (state IN ('open', 'superseded', 'expired')),
    created_at              TIMESTAMPTZ NOT NULL,
    expires_at              TIMESTAMPTZ NOT NULL,
    closed_at               TIMESTAMPTZ
);

CREATE UNIQUE INDEX recommendations_open ON recommendations (account_id, digest) WHERE state = 'open';
CREATE INDEX recommendations_state ON recommendations (state, id);
CREATE INDEX recommendations_closed_at ON recommendations (closed_at) WHERE closed_at IS NOT NULL;

CREATE TABLE health_state (
    component  TEXT PRIMARY KEY,
    status     TEXT NOT NULL,
    since      TIMESTAMPTZ NOT NULL
);

CREATE TABLE health_history (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    component     TEXT NOT NULL,
    before_status TEXT NOT NULL,
    after_status  TEXT NOT NULL,
    at            TIMESTAMPTZ NOT NULL,
    details       TEXT NOT NULL DEFAULT '{}'
);

CREATE INDEX health_history_component ON health_history (component, id);
CREATE INDEX health_history_at ON health_history (at);

CREATE TABLE tokens (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL,
    digest     TEXT NOT NULL UNIQUE,
    scopes     TEXT NOT NULL,
    account_id TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ
);

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- What another process last said of itself, such as the Kubernetes watcher.
CREATE TABLE heartbeats (
    name    TEXT PRIMARY KEY,
    at      TIMESTAMPTZ NOT NULL,
    details TEXT NOT NULL DEFAULT '{}'
);

CREATE TABLE models (
    name       TEXT NOT NULL,
    version    TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('candidate', 'active', 'retired')),
    details    TEXT NOT NULL DEFAULT '{}',
    changed_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (name, version)
);

CREATE UNIQUE INDEX models_active ON models (name) WHERE state = 'active';
