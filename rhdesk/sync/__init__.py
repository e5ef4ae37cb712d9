"""The replica of a remote store: everything readable offline, every write kept until it is there.

`engine` decides and touches nothing; `replica` keeps, in SQLite; `remote` speaks HTTP; `service`
lets the three work together for as long as somebody keeps a desk open, or the daemon runs.
"""
