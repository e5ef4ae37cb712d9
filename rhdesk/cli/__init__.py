"""``rhdesk ...``: one verb of the desk, one command; ``--json`` on every one."""
