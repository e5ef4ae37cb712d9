"""The remote store over real HTTP, on SQLite and on PostgreSQL."""
