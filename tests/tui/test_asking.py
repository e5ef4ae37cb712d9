"""Questions while a machine is connected to: a key that is new, a passphrase; No comes first."""

from __future__ import annotations

import asyncio

import pytest

from rhdesk.models import Cluster, ClusterState, Link, Node
from rhdesk_tui.screens.asking import ScreenAsks
from tests.fakes.desk import NOW, FakeDesk
from tests.tui.conftest import Opened, settle, text_of
from tests.tui.test_store_screens import SIZES, app_of

KEY = "SHA256:+EEFF34iQgMbpaGsK4IANR98iZ+RKNvg2g5MV08w9Bs"


@pytest.mark.parametrize("size", SIZES)
async def test_a_new_key_is_shown_in_full_and_enter_alone_says_no(
    opened: Opened, size: tuple[int, int]
) -> None:
    async with opened(size) as pilot:
        asks = ScreenAsks(app_of(pilot))
        asked = asyncio.ensure_future(
            asks.trust_host("gpu\x1b[31mbox", "ssh-ed25519", KEY, "10.0.0.3 port 22")
        )
        await settle(pilot)
        shown = text_of(pilot)
        for words in (KEY, "ssh-ed25519", "10.0.0.3 port 22", "ssh-keygen -lf"):
            assert words in shown
        assert "\x1b" not in shown
        await pilot.press("enter")
        assert await asked is False
        asked = asyncio.ensure_future(asks.trust_host("gpubox", "ssh-ed25519", KEY, "x"))
        await settle(pilot)
        await pilot.press("right", "enter")
        assert await asked is True


async def test_a_passphrase_is_not_shown_and_escape_gives_none(opened: Opened) -> None:
    async with opened() as pilot:
        asks = ScreenAsks(app_of(pilot))
        asked = asyncio.ensure_future(asks.secret("passphrase of ~/.ssh/id_ed25519"))
        await settle(pilot)
        await pilot.press(*"opensesame")
        await settle(pilot)
        assert "passphrase of ~/.ssh/id_ed25519" in text_of(pilot)
        assert "opensesame" not in text_of(pilot)
        await pilot.press("enter")
        assert await asked == "opensesame"
        asked = asyncio.ensure_future(asks.secret("password"))
        await settle(pilot)
        await pilot.press("escape")
        assert await asked is None


async def test_two_hosts_ask_one_after_the_other(opened: Opened) -> None:
    async with opened() as pilot:
        asks = ScreenAsks(app_of(pilot))
        both = [asyncio.ensure_future(asks.trust_host(h, "k", KEY, h)) for h in ("one", "two")]
        await settle(pilot)
        assert "Is this one's key?" in text_of(pilot)
        await pilot.press("escape")
        await settle(pilot)
        assert "Is this two's key?" in text_of(pilot)
        await pilot.press("right", "enter")
        assert await asyncio.gather(*both) == [False, True]


async def test_the_app_answers_for_the_desk(opened: Opened, desk: FakeDesk) -> None:
    async with opened():
        assert isinstance(desk.asks, ScreenAsks)


@pytest.mark.parametrize("size", SIZES)
async def test_a_cluster_elsewhere_shows_its_machines_and_that_one_is_away(
    opened: Opened, desk: FakeDesk, size: tuple[int, int]
) -> None:
    nodes = (
        Node(name="gpu-1", state=ClusterState.UP, link=Link.CONNECTED, round_trip_s=0.048,
             cpus=32, gpus=2, gpu_model="RTX 4090"),
        Node(name="gpu-2", role="worker", state=ClusterState.UP, link=Link.BROKEN,
             why="gave no sign of life in 5 s"),
    )  # fmt: skip
    desk.known = [
        Cluster(name="here"),
        Cluster(name="lab", kind="ssh", state=ClusterState.UNREACHABLE, why="no route",
                nodes=nodes, seen_at=NOW, autostop_mins=30, idle_s=600),
    ]  # fmt: skip
    async with opened(size) as pilot:
        app_of(pilot).do("cluster lab")
        await settle(pilot)
        shown = text_of(pilot)
        for words in ("≈ away", "gpu-1", "48 ms", "2 x RTX 4090", "last seen", "30 min idle"):
            assert words in shown
