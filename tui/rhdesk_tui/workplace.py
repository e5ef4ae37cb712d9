"""What every screen is given: the desk, and what the app knows while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rhdesk.desk import AsyncDesk
from rhdesk.models import Cluster, ClusterState, StoreState
from rhdesk_tui.jobs import Job
from rhdesk_tui.loads import Loads
from rhdesk_tui.said import SaidLog
from rhdesk_tui.table_view import Place
from rhdesk_tui.watching import Following
from rhdesk_tui.wording import Saying, say_cluster, say_store


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Workplace:
    desk: AsyncDesk
    now: Callable[[], datetime] = _utc_now
    jobs: list[Job] = field(default_factory=list[Job])
    watches: list[Following] = field(default_factory=list[Following])
    """Folders whose edits follow, newest last; those that ended stay until started again."""
    said: SaidLog = field(default_factory=SaidLog)
    clusters: list[Cluster] = field(default_factory=list[Cluster])
    """As they were when somebody last asked."""
    store: StoreState = field(default_factory=StoreState)
    """As it was when somebody last asked."""
    tables: dict[str, Place] = field(default_factory=dict[str, Place])
    """Where somebody was in each table, by its title."""
    names: list[str] = field(default_factory=list[str])
    """Names a command line can complete."""

    def __post_init__(self) -> None:
        self.loads = Loads(self.desk)

    @property
    def running(self) -> Job | None:
        """The newest job that has not ended."""
        return next((job for job in reversed(self.jobs) if not job.is_finished), None)

    @property
    def up(self) -> list[str]:
        """Clusters a call can be sent to."""
        return [c.name for c in self.clusters if c.state is ClusterState.UP]

    def truth(self) -> tuple[Saying, ...]:
        """How things stand, for the top bar."""
        said: list[Saying] = []
        if job := self.running:
            said.append(Saying(f"◐ {job.title}: {job.now}", "accent"))
        store = [say_store(self.store, self.now())] if self.store.url else []
        in_step = self.store.status == "current" and not self.store.conflicts
        if not in_step:
            said += store
        for cluster in self.clusters[:2]:
            state = say_cluster(cluster.state)
            said.append(Saying(f"{cluster.name} {state.text}", state.tone))
        return (*said, *store) if in_step else tuple(said)
