"""The far side: what runs on a cluster, installed there without textual, git or the core.

The road inside a node::

    gateway        one per cluster; hands out addresses, makes environments      gateway.py
    env servlet    one per environment, in its interpreter; HTTP in, frames out  app.py, runs.py
    pool           starts, feeds and ends worker processes                       pool.py
    zygote         a small process that forks workers quickly                    zygote.py
    worker         the process in which user code runs, and nothing else         worker.py

Pickles are opened in workers only. Whatever a run prints goes to its spool on disk before
anything else happens to it, so it outlives every process named above.
"""
