"""Thousands of requests made from the store's own description: it does what it says, and no more."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.config import SchemathesisConfig

from rhdesk.server.openapi import document
from rhdesk.server.routes import ROUTES
from tests.conftest import Place
from tests.integration.server.conftest import Served, own_database

CASES = 50
"""Of each operation and database, at least; with those of the edges of each value more."""

SCHEMA = schemathesis.openapi.from_dict(
    document(),
    config=SchemathesisConfig.from_dict(
        {
            "generation": {"mode": "all", "deterministic": True, "allow-extra-parameters": False},
            "checks": {
                # Well-formed is not all: a write also says what it was made on, a name is one of a
                # store, an epoch is the store's, a digest is that of the bytes.
                "positive_data_acceptance": {
                    "expected-statuses": [
                        "2xx",
                        "304",
                        "403",
                        "404",
                        "409",
                        "410",
                        "412",
                        "422",
                        "428",
                    ]
                },
                "negative_data_rejection": {
                    "expected-statuses": [
                        "400",
                        "401",
                        "403",
                        "404",
                        "405",
                        "409",
                        "410",
                        "412",
                        "422",
                        "428",
                    ]
                },
                "missing_required_header": {"expected-statuses": ["401", "422", "428"]},
            },
        }
    ),
)
ASKED: Counter[str] = Counter()
"""How many cases went to each operation."""


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def served_for_all(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Served, str, requests.Session]]:
    folder = tmp_path_factory.mktemp("fuzzed")
    of_sqlite = request.param == "sqlite"
    url = str(folder) if of_sqlite else own_database(request.getfixturevalue("postgres_url"))
    served = Served(url, folder)
    token = served.user("ada", scope="admin")
    served.start()
    with requests.Session() as session:
        yield served, token, session
    served.stop()
    assert "Traceback" not in (folder / "server.log").read_text()


@SCHEMA.parametrize()
@settings(
    max_examples=CASES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_operation_does_what_its_description_says(
    case: schemathesis.Case[Any], served_for_all: tuple[Served, str, requests.Session]
) -> None:
    served, token, session = served_for_all
    ASKED[case.operation.label] += 1
    if case.operation.label == "POST /v1/token/rotate":
        token = served.user("ada", scope="admin")  # it ends, and the others still need theirs
    case.call_and_validate(
        base_url=served.url, session=session, headers={"Authorization": f"Bearer {token}"}
    )


def test_there_were_three_thousand_cases_and_every_route_had_its_share() -> None:
    if not ASKED:
        pytest.skip("the cases were not asked for")
    print(f"{ASKED.total()} cases: {dict(ASKED)}")
    assert ASKED.keys() == {f"{route.method} {route.path}" for route in ROUTES}
    assert ASKED.total() >= 3000


def test_the_description_that_is_served_is_the_one_that_is_printed(
    served: Served, place_of_server: Place
) -> None:
    told = served.ask("GET", "/v1/openapi.json", token=served.user("ada")).json
    printed = json.loads(place_of_server.rhdesk("server", "openapi").stdout)
    assert told == printed == json.loads(json.dumps(document()))


@pytest.fixture
def place_of_server(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("server"))
