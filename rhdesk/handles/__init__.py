"""What scripts hold: ``rh.cluster()``, ``rh.function()`` ...: thin handles over a blocking desk.

Names and signatures are those of Runhouse v0.0.12.
"""
