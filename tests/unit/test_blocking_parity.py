"""`Desk` and `AsyncDesk` offer the same verbs with the same parameters."""

from __future__ import annotations

import inspect

import pytest

from rhdesk.blocking import Desk
from rhdesk.desk import AsyncDesk

ASYNC_ONLY = {"aclose", "stay_in_step"}
BLOCKING_ONLY = {"close", "iterate"}


def _verbs(cls: type) -> set[str]:
    return {n for n, _ in inspect.getmembers(cls, inspect.isfunction) if not n.startswith("_")}


def test_the_two_desks_offer_the_same_verbs() -> None:
    assert _verbs(AsyncDesk) - ASYNC_ONLY == _verbs(Desk) - BLOCKING_ONLY


@pytest.mark.parametrize("verb", sorted(_verbs(AsyncDesk) - ASYNC_ONLY))
def test_a_verb_takes_and_gives_the_same_on_both_desks(verb: str) -> None:
    there, here = (inspect.signature(getattr(cls, verb)) for cls in (AsyncDesk, Desk))
    assert there.parameters == here.parameters
    given = str(there.return_annotation).replace("AsyncGenerator", "Iterator")
    assert given == str(here.return_annotation)
