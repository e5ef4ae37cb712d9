"""The documented day of a team of five, run as it is documented, on one PostgreSQL."""

from __future__ import annotations

import re

import pytest

from tests.conftest import Place
from tests.integration.server.conftest import own_database


def test_five_people_promote_roll_back_and_part(
    tmp_path_factory: pytest.TempPathFactory, postgres_url: str
) -> None:
    place = Place(tmp_path_factory.mktemp("team"))
    told = place.python("-m", "rhdesk.demo.team", own_database(postgres_url)).stdout
    assert "bo asks for /ml/prod/train: waiting" in told
    assert "cy agrees: done, approved by cy" in told
    assert "prod was ['torch==9.9'], dee goes back: done, ['torch==2.5']" in told
    gone = re.search(r"eve had 2 names; they were gone from her desk after ([\d.]+) s", told)
    assert gone is not None
    assert float(gone[1]) < 2.0
    assert "eve may write /ml/prod/train: False; ask ana" in told
    assert re.search(r"the audit, \d{2} rows, without the store: 0 flaws", told)
