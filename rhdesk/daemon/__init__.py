"""The background process: its lock, its socket, its beginning and its end.

What it does all day is in `rhdesk.loops`; everything works without it.
"""
