"""The remote store: the names of a team, in one place that decides who wrote first.

An ASGI application over SQLite or PostgreSQL. `store` holds the rules and knows no database and no
network; `tables` says what it needs of a database.
"""
