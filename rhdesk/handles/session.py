"""The desk that a program's handles share: opened at first use, closed when the program ends."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Iterator

from rhdesk.blocking import Desk
from rhdesk.clusters.warm_call import WarmCaller
from rhdesk.config import Settings
from rhdesk.models import EnvSpec, Step, StepState

HERE = "here"


class Road:
    """The warm way to one env servlet: its address, and what it has been told."""

    def __init__(self, caller: WarmCaller, address: str) -> None:
        self.caller = caller
        self.address = address
        self.told: set[str] = set()
        """Hashes of the definitions it has."""


class Session:
    def __init__(self, settings: Settings | None = None) -> None:
        self.desk = Desk(settings, inside_a_loop=True)
        self._roads: dict[tuple[str, str, str], Road] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        self._roads.clear()
        self.desk.close()

    def road(self, cluster: str, env: str, node: str = "") -> Road:
        """The way to an env servlet, found once and kept until it breaks.

        A cluster whose processes died is brought up again; one that is down is not.

        Raises:
            ConnectionFailed: The cluster is down.
        """
        road = self._roads.get((cluster, env, node))
        if road is not None:
            return road
        with self._lock:
            self.desk.mend(cluster)
            asynchronous = self.desk.asynchronous
            client = self.desk.portal.call(asynchronous.clusters_room.client, cluster, node)
            address = self.desk.portal.call(client.address, env)
            caller = WarmCaller(client.line, timeout_s=asynchronous.settings.connect_timeout_s)
            return self._roads.setdefault((cluster, env, node), Road(caller, address))

    def drop_road(self, cluster: str, env: str, node: str = "") -> None:
        """It broke: look for it anew next time."""
        self._roads.pop((cluster, env, node), None)

    def up(self, cluster: str) -> None:
        self.show(self.desk.up(cluster))

    def make_env(self, spec: EnvSpec, *, on: str, force: bool = False) -> None:
        self.show(self.desk.make_env(spec, on=on, force=force))
        for cluster, env, node in list(self._roads):
            if (cluster, env) == (on, spec.name):
                self.drop_road(cluster, env, node)

    def show(self, steps: Iterator[Step]) -> None:
        """Say on stderr what is being done, where a person is watching."""
        watched = sys.stderr.isatty()
        for step in steps:
            if watched and step.state is not StepState.PROGRESS:
                mark = {"started": "…", "done": "✓", "failed": "✗"}[step.state]
                took = f"  {step.elapsed_s:.1f} s" if step.elapsed_s else ""
                sys.stderr.write(f"rhdesk: {mark} {step.what} {step.detail}{took}\n")


_session: Session | None = None
_opened_in = 0
_opening = threading.Lock()


def session() -> Session:
    """The program's session. A forked child gets its own: threads do not survive a fork."""
    global _session, _opened_in
    if _session is not None and _opened_in == os.getpid():
        return _session
    with _opening:
        if _session is None or _opened_in != os.getpid():
            _session, _opened_in = Session(), os.getpid()
            atexit.register(_close, _session, _opened_in)
        return _session


def close() -> None:
    """Close the program's session; the next use opens another."""
    global _session
    with _opening:
        if _session is not None and _opened_in == os.getpid():
            _session.close()
        _session = None


def _close(which: Session, pid: int) -> None:
    if which is _session and pid == os.getpid():
        close()
