"""Every route of the store: what it takes, what it answers, what a token must allow.

One table, from which both the application and its OpenAPI document are made: a route that is not
written down here does not exist, and none can be written down differently.
"""

from __future__ import annotations

from typing import Any, Final

from rhdesk.server.route import Parameter, Route
from rhdesk.server.team_routes import TEAM_ROUTES
from rhdesk.wire.store import (
    About,
    Accepted,
    ChangesPage,
    Denied,
    Fault,
    Gone,
    Grant,
    Invalid,
    ListingPage,
    Put,
    Stale,
    Stored,
    Taken,
    VersionsPage,
    WrongEpoch,
)

MOST_ROWS: Final = 1000
LONGEST_WAIT_S: Final = 30
LARGEST_BODY: Final = 8 * 1024 * 1024
LARGEST_BLOB: Final = 32 * 1024 * 1024

_RID: Final = Parameter(
    "rid", "path", {"type": "string", "pattern": "^[0-9A-Za-z_-]{1,64}$"}, True, "A resource."
)
_DIGEST: Final = Parameter(
    "digest", "path", {"type": "string", "pattern": "^[0-9a-f]{64}$"}, True, "SHA-256, hex."
)
_SEQ: Final[dict[str, Any]] = {"type": "integer", "minimum": 0, "maximum": 2**62}
_LIMIT: Final = Parameter(
    "limit", "query", {"type": "integer", "minimum": 1, "maximum": MOST_ROWS, "default": 500}
)
_KEY: Final = Parameter(
    "Idempotency-Key", "header", {"type": "string", "pattern": "^[0-9A-Za-z_-]{8,64}$"}, True,
    "Of this write; the same when it is sent again.",
)  # fmt: skip
_MATCH: Final = Parameter(
    "If-Match", "header", {"type": "string", "pattern": '^"[0-9A-Za-z]*[.][0-9]{1,18}"$'},
    told='``"<epoch>.<revision>"`` it was made on; or else If-None-Match.',
)  # fmt: skip
_WRITTEN: Final[tuple[tuple[int, Any], ...]] = (
    (200, Accepted), (403, Denied), (409, WrongEpoch | Taken), (412, Stale), (422, Invalid),
    (422, Fault), (428, Fault),
)  # fmt: skip

ALWAYS: Final = {
    401: "No token, or none that is known here.",
    403: "The token, or its owner, may not do this.",
    426: "No common protocol.",
    429: "Too much at once; try again after a pause.",
    500: "The store is damaged, or this is a fault of it.",
    503: "The database does not answer now.",
}
"""What every route may answer, each a `Fault`."""

ROUTES: Final[tuple[Route, ...]] = (
    Route(
        "GET", "/v1/about", "about", "Which store this is, and who is asking.", "read",
        answers=((200, About),),
    ),
    Route(
        "GET", "/v1/r/{rid}", "resource", "The newest revision of a resource.", "read",
        parameters=(
            _RID,
            Parameter("If-None-Match", "header", {"type": "string"}, told="A revision's ETag."),
        ),
        answers=((200, Stored), (304, None), (404, Fault), (422, Fault)),
    ),
    Route(
        "PUT", "/v1/r/{rid}", "put", "Write a revision; once, however often it is sent.", "write",
        parameters=(
            _RID,
            _KEY,
            _MATCH,
            Parameter(
                "If-None-Match", "header", {"type": "string", "enum": ["*"]},
                told="It was made on nothing: the resource is new.",
            ),
        ),
        takes=Put,
        answers=(*_WRITTEN, (400, Fault), (408, Fault), (413, Fault)),
    ),
    Route(
        "DELETE", "/v1/r/{rid}", "delete", "Delete a resource; its revisions stay.", "write",
        parameters=(_RID, _KEY, _MATCH),
        answers=_WRITTEN,
    ),
    Route(
        "GET", "/v1/r/{rid}/versions", "versions", "Revisions of a resource, newest first.", "read",
        parameters=(_RID, Parameter("before", "query", {**_SEQ, "default": 0}), _LIMIT),
        answers=((200, VersionsPage), (404, Fault), (422, Fault)),
    ),
    Route(
        "GET", "/v1/changes", "changes", "What happened after a place in the feed.", "read",
        parameters=(
            Parameter("epoch", "query", {"type": "string", "maxLength": 64}, True),
            Parameter("since", "query", _SEQ, True),
            _LIMIT,
            Parameter(
                "wait", "query",
                {"type": "number", "minimum": 0, "maximum": LONGEST_WAIT_S, "default": 0},
                told="Seconds to wait for something to happen.",
            ),
        ),
        answers=((200, ChangesPage), (410, Gone), (422, Fault)),
    ),
    Route(
        "GET", "/v1/listing", "listing", "Everything the caller may read, by rid.", "read",
        parameters=(
            Parameter(
                "after", "query",
                {"type": "string", "pattern": "^[0-9A-Za-z_-]{0,64}$", "default": ""},
            ),
            _LIMIT,
        ),
        answers=((200, ListingPage), (422, Fault)),
    ),
    Route(
        "HEAD", "/v1/blobs/{digest}", "has_blob", "Whether the store has a file of code.", "read",
        parameters=(_DIGEST,),
        answers=((200, None), (404, None), (422, None)),
    ),
    Route(
        "GET", "/v1/blobs/{digest}", "blob",
        "A file of code. Whoever has its digest, from a record they may read, may read it.", "read",
        parameters=(_DIGEST,),
        answers=((200, bytes), (404, Fault), (422, Fault)),
    ),
    Route(
        "PUT", "/v1/blobs/{digest}", "put_blob", "Keep a file of code.", "write",
        parameters=(_DIGEST,),
        takes=bytes,
        answers=((204, None), (400, Fault), (408, Fault), (413, Fault), (422, Fault)),
    ),
    Route(
        "GET", "/v1/grants", "grants", "Who was granted what in exactly one folder.", "read",
        parameters=(Parameter("folder", "query", {"type": "string", "maxLength": 512}, True),),
        answers=((200, list[Grant]), (422, Fault)),
    ),
    Route(
        "PUT", "/v1/grants", "grant", "Let somebody do something in a folder and below.", "admin",
        takes=Grant,
        answers=((204, None), (400, Fault), (404, Fault), (408, Fault), (413, Fault), (422, Fault)),
    ),
    Route(
        "GET", "/v1/openapi.json", "openapi", "This document.", "read",
        answers=((200, dict[str, Any]),),
    ),
    Route(
        "GET", "/v1/health", "health", "Whether the database answers.", "read",
        answers=((200, dict[str, str]),),
    ),
    Route(
        "GET", "/v1/metrics", "metrics", "Counters, as Prometheus reads them.", "read",
        answers=((200, str),),
    ),
    *TEAM_ROUTES,
)  # fmt: skip
