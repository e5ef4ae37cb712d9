"""Figures, each beside a peer in the same run; what counts is the ratio."""
