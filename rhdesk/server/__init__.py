"""The remote store: the names of a team, in one place that decides who wrote first.

An ASGI application over SQLite or PostgreSQL. `store` holds the rules and knows no database and no
network; `tables` says what it needs of a database, `sql` is that in SQL, on `sqlite` or `postgres`.
`routes` is the table of all that can be asked; `app` answers by it and `serve` opens the socket.
"""
