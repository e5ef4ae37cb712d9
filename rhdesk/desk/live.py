"""What is live: a saved function or module that a cluster answers calls of by name."""

from __future__ import annotations

from rhdesk.desk.calls import CallVerbs


class LiveVerbs(CallVerbs):
    pass
