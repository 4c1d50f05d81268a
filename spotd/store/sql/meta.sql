-- name: get_meta
-- One fact about this database itself.
SELECT value FROM meta WHERE name = $1;

-- name: put_meta
-- Replace one fact about this database itself.
INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: put_meta_once
-- One fact about this database itself, unless it is there.
INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING;
