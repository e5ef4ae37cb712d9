"""The routes about people: groups, grants, tokens, lanes, secrets and the audit.

Their methods are those of `rhdesk.server.team.Team`, which are blocking.
"""

from __future__ import annotations

from typing import Any, Final

from rhdesk.models import Access, Audited, AuditHead, Lane, Policy, Promotion, TokenTold
from rhdesk.server.route import Parameter, Route
from rhdesk.wire.store import Fault
from rhdesk.wire.team import (
    Members,
    Moved,
    MoveFolder,
    MoveGroup,
    NewGrant,
    NewGroup,
    NewLane,
    NewPromotion,
    NewSecret,
    NewToken,
    RenamedSecret,
    Rotation,
    SealedSecret,
    TokenMade,
)

MOST_AUDITED: Final = 1000
_BAD: Final[tuple[tuple[int, Any], ...]] = ((400, Fault), (408, Fault), (413, Fault), (422, Fault))
_DONE: Final[tuple[tuple[int, Any], ...]] = ((204, None), (404, Fault), *_BAD)
_TEXT: Final[dict[str, Any]] = {"type": "string", "maxLength": 512}
_ID: Final = Parameter(
    "id", "path", {"type": "string", "pattern": "^[0-9a-f]{16}$"}, True, "As it was told."
)


def _asked(name: str, told: str = "", *, required: bool = True) -> Parameter:
    return Parameter(name, "query", _TEXT, required, told)


def _team(
    method: str, path: str, name: str, told: str, scope: str, *parameters: Parameter,
    takes: Any = None, answers: tuple[tuple[int, Any], ...] = (),
) -> Route:  # fmt: skip
    return Route(method, path, name, told, scope, parameters, takes, answers, of_team=True)


TEAM_ROUTES: Final[tuple[Route, ...]] = (
    _team(
        "GET", "/v1/policy", "policy", "The groups and grants the caller may know of.", "read",
        answers=((200, Policy),),
    ),
    _team(
        "GET", "/v1/access", "why", "Whether somebody may do something, and why.", "read",
        _asked("principal"), _asked("action", "read, call, write or admin."), _asked("name"),
        answers=((200, Access), (404, Fault), (422, Fault)),
    ),
    _team(
        "POST", "/v1/grants", "share", "Let a person or a group do something, for a time.",
        "admin", takes=NewGrant, answers=_DONE,
    ),
    _team(
        "POST", "/v1/groups", "make_group", "Make a group; the caller is its admin.", "admin",
        takes=NewGroup, answers=((204, None), (409, Fault), *_BAD),
    ),
    _team(
        "POST", "/v1/groups/members", "members", "Put into a group, or take out of it.", "admin",
        takes=Members, answers=_DONE,
    ),
    _team(
        "POST", "/v1/groups/move", "move_group", "Put a group into another one.", "admin",
        takes=MoveGroup, answers=_DONE,
    ),
    _team(
        "DELETE", "/v1/groups", "drop_group", "End a group.", "admin", _asked("group"),
        answers=((204, None), (404, Fault), (422, Fault)),
    ),
    _team(
        "POST", "/v1/folders/move", "move_folder", "Move a folder with all that is in it.",
        "admin", takes=MoveFolder,
        answers=((200, Moved), (404, Fault), (409, Fault), *_BAD),
    ),
    _team(
        "GET", "/v1/tokens", "tokens", "The caller's tokens, newest first.", "read",
        answers=((200, list[TokenTold]),),
    ),
    _team(
        "POST", "/v1/tokens", "narrow", "A token for less than the caller's own.", "read",
        takes=NewToken, answers=((200, TokenMade), *_BAD),
    ),
    _team(
        "POST", "/v1/token/rotate", "rotate", "Another token in place of the caller's.", "read",
        takes=Rotation, answers=((200, TokenMade), *_BAD),
    ),
    _team(
        "DELETE", "/v1/tokens/{id}", "end_token", "End a token, and those narrowed from it.",
        "read", _ID, answers=((204, None), (404, Fault), (422, Fault)),
    ),
    _team(
        "GET", "/v1/lanes", "lanes", "The lanes the caller may read.", "read",
        answers=((200, list[Lane]),),
    ),
    _team(
        "PUT", "/v1/lanes", "lay_lane", "Make a folder a lane.", "admin",
        takes=NewLane, answers=((204, None), *_BAD),
    ),
    _team(
        "DELETE", "/v1/lanes", "lift_lane", "Let a lane be a folder again.", "admin",
        _asked("folder"), answers=((204, None), (404, Fault), (422, Fault)),
    ),
    _team(
        "GET", "/v1/promotions", "promotions", "Promotions into lanes, oldest first.", "read",
        _asked("folder", "In it and below; without, everywhere.", required=False),
        answers=((200, list[Promotion]), (422, Fault)),
    ),
    _team(
        "POST", "/v1/promotions", "promote", "Ask that a lane hold a revision.", "write",
        takes=NewPromotion, answers=((200, Promotion), (404, Fault), *_BAD),
    ),
    _team(
        "POST", "/v1/promotions/{id}/approve", "approve", "Agree to a promotion.", "write", _ID,
        answers=((200, Promotion), (404, Fault), (422, Fault)),
    ),
    _team(
        "POST", "/v1/promotions/{id}/withdraw", "withdraw", "Have it not happen.", "write", _ID,
        answers=((200, Promotion), (404, Fault), (422, Fault)),
    ),
    _team(
        "GET", "/v1/secrets", "secrets", "Secrets in a folder and below; nothing of a value.",
        "read", _asked("folder"), answers=((200, list[SealedSecret]), (422, Fault)),
    ),
    _team(
        "GET", "/v1/secrets/versions", "secret_versions", "A secret's versions, sealed.", "read",
        _asked("name"), answers=((200, list[SealedSecret]), (404, Fault), (422, Fault)),
    ),
    _team(
        "PUT", "/v1/secrets", "put_secret", "Keep a version of a secret.", "write",
        takes=NewSecret, answers=((200, SealedSecret), (409, Fault), *_BAD),
    ),
    _team(
        "POST", "/v1/secrets/rename", "rename_secret", "Give a secret another name.", "write",
        takes=RenamedSecret,
        answers=((200, SealedSecret), (404, Fault), (409, Fault), *_BAD),
    ),
    _team(
        "DELETE", "/v1/secrets", "drop_secret", "Remove a secret with its versions.", "write",
        _asked("name"), answers=((204, None), (404, Fault), (422, Fault)),
    ),
    _team(
        "GET", "/v1/audit", "audit", "The audit, for who is admin of all; newest first.", "admin",
        _asked("matching", "Words a row holds.", required=False),
        Parameter(
            "limit", "query",
            {"type": "integer", "minimum": 1, "maximum": MOST_AUDITED, "default": 100},
        ),
        answers=((200, list[Audited]), (422, Fault)),
    ),
    _team(
        "GET", "/v1/audit/rows", "audit_rows", "The audit, oldest first, to keep elsewhere.",
        "admin",
        Parameter(
            "after", "query", {"type": "integer", "minimum": 0, "maximum": 2**62, "default": 0}
        ),
        answers=((200, list[Audited]), (422, Fault)),
    ),
    _team(
        "GET", "/v1/audit/head", "audit_head", "The audit's last row, worth keeping elsewhere.",
        "read", answers=((200, AuditHead),),
    ),
)  # fmt: skip
