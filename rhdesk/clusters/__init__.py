"""Reaching clusters: bring one up, open a line to its servlets."""
