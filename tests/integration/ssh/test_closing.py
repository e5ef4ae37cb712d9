"""A link that is closed while it is being made: whoever waits for it is told so."""

from __future__ import annotations

import asyncio
import socket

import pytest

from rhdesk.clusters.ssh.config import Target
from rhdesk.clusters.ssh.link import HostLink
from rhdesk.errors import ConnectionFailed, Unreachable


async def test_who_waits_hears_of_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        link = HostLink(Target(host="box", hostname="127.0.0.1", port=port, user="me"))
        waiting = [asyncio.create_task(link.connection()), asyncio.create_task(link.adial("x:1"))]
        await asyncio.sleep(0.1)
        await link.aclose()
        with pytest.raises(ConnectionFailed, match="closed while"):
            await waiting[0]
        with pytest.raises(Unreachable):
            await waiting[1]


async def test_who_gives_up_is_not_told_of_a_closed_link() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        link = HostLink(Target(host="box", hostname="127.0.0.1", port=port, user="me"))
        waiting = asyncio.create_task(link.connection())
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await link.aclose()
