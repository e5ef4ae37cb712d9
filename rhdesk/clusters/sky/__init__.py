"""Machines that SkyPilot brings into being: its own environment and server, spoken to over HTTP.

SkyPilot is never imported here; what is written in its words stands in `task` and `api`, and its
version in `environment`.
"""
