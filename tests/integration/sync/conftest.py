"""The stores of `tests.integration.server`, for the machines that are logged in to them."""

from __future__ import annotations

from tests.integration.server.conftest import database_url, postgres_url, served

__all__ = ["database_url", "postgres_url", "served"]
