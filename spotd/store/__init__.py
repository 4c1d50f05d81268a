"""The database: one set of SQL statements on SQLite and Postgres."""
