"""Asking for machines: fields, plan and price, and only then bringing them up; orphans and cost."""

from __future__ import annotations

import pytest

from rhdesk.errors import BadInput
from rhdesk.models import Cluster, ClusterSpec, ClusterState, Machines
from rhdesk_tui.screens.job import JobScreen
from rhdesk_tui.screens.provision import ProvisionScreen
from tests.fakes.desk import NOW, FakeDesk
from tests.tui.conftest import Opened, text_of, until
from tests.tui.house import with_offers
from tests.tui.test_store_screens import SIZES, app_of


@pytest.mark.parametrize("size", SIZES)
async def test_a_price_is_seen_before_anything_is_started(
    opened: Opened, desk: FakeDesk, size: tuple[int, int]
) -> None:
    with_offers(desk)
    async with opened(size) as pilot:
        app_of(pilot).do("provision train")
        await until(pilot, lambda: "Nothing is started until you say so" in text_of(pilot))
        await pilot.press("tab", *"H100:8", "tab", "backspace", "2", "tab", *"slurm")
        await until(pilot, lambda: "rhdesk up train --instance H100:8 --nodes 2" in text_of(pilot))
        await pilot.press("f5")
        assert not any(verb == "up" for verb, _ in desk.asked), "there is no plan yet"
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "5.00 an hour" in text_of(pilot))
        (asked,) = (spec for verb, spec in desk.asked if verb == "plan")
        assert asked.machines == Machines(instance_type="H100:8", count=2, provider="slurm")
        assert asked.autostop_mins == 30
        assert not any(verb == "up" for verb, _ in desk.asked)
        await pilot.press("f5")
        await until(pilot, lambda: isinstance(pilot.app.screen, JobScreen))
        assert ("up", "train") in desk.asked


async def test_a_plan_of_what_was_asked_before_does_not_bring_up_something_else(
    opened: Opened, desk: FakeDesk
) -> None:
    async with opened() as pilot:
        app_of(pilot).do("provision train")
        await until(pilot, lambda: isinstance(pilot.app.screen, ProvisionScreen))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "brings it up" in text_of(pilot))
        await pilot.press("tab", *"A100:8", "f5")
        assert not any(verb == "up" for verb, _ in desk.asked)


async def test_what_is_not_to_be_had_is_said_beside_the_fields(
    opened: Opened, desk: FakeDesk
) -> None:
    desk.fails["plan"] = BadInput("no provider that is enabled has H1O0; did you mean H100?")
    async with opened() as pilot:
        app_of(pilot).do("provision train")
        await until(pilot, lambda: isinstance(pilot.app.screen, ProvisionScreen))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "did you mean H100" in text_of(pilot))
        assert isinstance(pilot.app.screen, ProvisionScreen)


@pytest.mark.parametrize("size", SIZES)
async def test_offers_are_listed_with_their_prices(
    opened: Opened, desk: FakeDesk, size: tuple[int, int]
) -> None:
    with_offers(desk)
    async with opened(size) as pilot:
        app_of(pilot).do("provision")
        await until(pilot, lambda: isinstance(pilot.app.screen, ProvisionScreen))
        await pilot.press("ctrl+o")
        await until(pilot, lambda: "23.92" in text_of(pilot))
        assert "lambda/us-west-1" in text_of(pilot)


async def test_up_of_a_cluster_of_machines_shows_its_plan_first(
    opened: Opened, desk: FakeDesk
) -> None:
    desk.known.append(Cluster(name="train", kind="sky"))
    desk.specs["train"] = ClusterSpec(name="train", machines=Machines(instance_type="H100:2"))
    async with opened() as pilot:
        app_of(pilot).do("up train")
        await until(pilot, lambda: "2.50 an hour" in text_of(pilot))
        assert not any(verb == "up" for verb, _ in desk.asked)


@pytest.mark.parametrize("size", SIZES)
async def test_orphans_are_ended_after_a_question(
    opened: Opened, desk: FakeDesk, size: tuple[int, int]
) -> None:
    with_offers(desk)
    async with opened(size) as pilot:
        app_of(pilot).do("machines")
        await until(pilot, lambda: "old-batch" in text_of(pilot))
        assert "157.03" in text_of(pilot)
        await pilot.press("x")
        await until(pilot, lambda: "End 1 orphan?" in text_of(pilot))
        await pilot.press("escape")
        assert not any(verb == "end_orphans" for verb, _ in desk.asked)
        await pilot.press("x", "tab", "enter")
        await until(pilot, lambda: "every machine is accounted for" in text_of(pilot))
        assert [what for verb, what in desk.asked if verb == "end_orphans"]


async def test_a_cluster_row_tells_where_and_at_what_price(opened: Opened, desk: FakeDesk) -> None:
    desk.known.append(
        Cluster(name="train", kind="sky", state=ClusterState.UP, infra="slurm/lab", cpus=8,
                price_per_hour=5.0, started_at=NOW, envs=("base",))
    )  # fmt: skip
    async with opened((140, 40)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: "slurm/lab · 5.00/h" in text_of(pilot))
