"""What is written down of a route."""

from __future__ import annotations

from typing import Any, NamedTuple


class Parameter(NamedTuple):
    name: str
    where: str
    """``path``, ``query`` or ``header``."""
    schema: dict[str, Any]
    required: bool = False
    told: str = ""


class Route(NamedTuple):
    method: str
    path: str
    name: str
    """Of the method that answers: of `rhdesk.server.app.Handlers`, or where it is `of_team`, of
    `rhdesk.server.team.Team`."""
    told: str
    scope: str
    """What the token must be for: ``read``, ``write`` or ``admin``."""
    parameters: tuple[Parameter, ...] = ()
    takes: Any = None
    """A message, ``bytes``, or nothing."""
    answers: tuple[tuple[int, Any], ...] = ()
    """Status and message, a status once for each; besides those of every route: see `ALWAYS`."""
    of_team: bool = False
