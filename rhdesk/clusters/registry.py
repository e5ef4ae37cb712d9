"""The clusters somebody added to this desk, each in a folder of its own."""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from rhdesk import whole_file
from rhdesk.clusters.here import NAME
from rhdesk.clusters.ssh.config import aliases, parse, resolve
from rhdesk.clusters.ssh_cluster import SshCluster
from rhdesk.errors import BadInput, DamagedStore, NotFound, StoreBusy, StoreUnwritable
from rhdesk.models import ClusterSpec
from rhdesk.ports import Asks

if TYPE_CHECKING:
    from rhdesk.clusters.sky.service import Sky

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_RESERVED: Final = frozenset(
    {NAME, "file", "s3", "gs", "azure", "ssh", "sftp", "memory", "github"}
)
"""Names of systems of v0.0.12; a cluster of such a name could not be told from them."""


class Registry:
    """Args:
    folder: ``clusters`` in the data folder.
    sky: SkyPilot on this machine, when a cluster is of machines.
    """

    def __init__(
        self,
        folder: Path,
        cache_dir: Path,
        asks: Asks | None = None,
        *,
        sky: Callable[[], Sky],
    ) -> None:
        self._sky = sky
        self._folder = folder
        self._cache_dir = cache_dir
        self._asks = asks
        self._made: dict[str, SshCluster] = {}
        self._host_key = ""

    async def aclose(self) -> None:
        for cluster in self._made.values():
            await cluster.aclose()
        self._made.clear()

    def accept(self, host_key: str) -> None:
        """Trust a host that is not known yet if its key has this fingerprint."""
        self._host_key = host_key
        self._made.clear()

    def clusters(self) -> Mapping[str, SshCluster]:
        """Every one by name; another process may have added some."""
        for file in self._folder.glob("*/spec.json"):
            spec = self._read(file)
            made = self._made.get(spec.name)
            if made is None or made.asked != spec:
                self._made[spec.name] = self._of(spec, file.parent)
        for name in list(self._made):
            if not (self._folder / name / "spec.json").exists():
                del self._made[name]
        return self._made

    def _of(self, spec: ClusterSpec, folder: Path) -> SshCluster:
        owner, asks = self._owner(), self._asks
        if spec.machines is not None:
            from rhdesk.clusters.sky.cluster import SkyCluster

            return SkyCluster(
                spec, folder, self._cache_dir, owner=owner, asks=asks, sky=self._sky()
            )
        return SshCluster(
            spec, folder, self._cache_dir, owner=owner, asks=asks, host_key=self._host_key
        )

    def add(self, spec: ClusterSpec) -> None:
        """Add a cluster, or change one that is down.

        Raises:
            BadInput: Its name or a host is none.
            StoreBusy: It is up with other hosts.
        """
        if not _NAME.fullmatch(spec.name) or spec.name in _RESERVED:
            raise BadInput(f"a cluster cannot be called {spec.name!r}; call it gpubox, or lab-2")
        if spec.machines is not None:
            from rhdesk.clusters.sky.task import resources_of

            resources_of(spec.machines)
        elif not spec.hosts or len(set(spec.hosts)) != len(spec.hosts):
            raise BadInput(f"{spec.name} needs hosts, each once: rhdesk up gpubox ada@10.0.0.3")
        for host in spec.hosts:
            resolve(host, spec)
        known = self.clusters().get(spec.name)
        changes = known is not None and (known.asked.hosts, known.asked.machines) != (
            spec.hosts,
            spec.machines,
        )
        if known is not None and changes and known.held() is not None:
            raise StoreBusy(
                f"{spec.name} is up on {', '.join(known.spec.hosts)}; "
                f"end it first: rhdesk down {spec.name}"
            )
        self.change(spec)

    def change(self, spec: ClusterSpec) -> None:
        """Write down how a cluster is wanted from now on.

        Raises:
            StoreUnwritable: It cannot be written.
        """
        file = self._folder / spec.name / "spec.json"
        try:
            whole_file.write(file, [msgspec.json.format(msgspec.json.encode(spec))], durable=True)
        except OSError as exc:
            raise StoreUnwritable(f"{file} cannot be written: {exc.strerror}") from exc

    def add_host(self, host: str, name: str = "") -> str:
        """Add a cluster of one host, by default called as the host is; returns its name.

        Raises:
            BadInput: It is no name of a host, or *name* none of a cluster.
            NotFound: ``~/.ssh/config`` does not name it, and it has no address.
        """
        called = self._called(host)
        name = name or called
        self.add(ClusterSpec(name=name, hosts=(host,)))
        return name

    def _called(self, host: str) -> str:
        _, alias, _ = parse(host)
        if alias not in aliases() and host == alias and not _has_address(alias):
            raise NotFound(
                alias, kind="cluster, host of ~/.ssh/config or address", near=aliases()[:3]
            )
        return alias.replace(":", "-")

    def trial(self, host: str) -> SshCluster:
        """A host as a cluster that is not written down, to look at it.

        Raises:
            NotFound: As `add_host`.
        """
        return SshCluster(
            ClusterSpec(name=self._called(host), hosts=(host,)),
            self._folder / ".trial",
            self._cache_dir,
            owner=self._owner(),
            asks=self._asks,
        )

    def forget(self, name: str) -> None:
        """Remove what is written down of a cluster that is down.

        Raises:
            NotFound: There is none of that name.
            StoreBusy: It is up.
        """
        known = self.clusters().get(name)
        if known is None:
            raise NotFound(name, kind="cluster that was added", near=list(self._made)[:3])
        if known.held() is not None:
            raise StoreBusy(f"{name} is up; end it first: rhdesk down {name}")
        if (self._folder / name / "machines.json").exists():
            raise StoreBusy(f"{name} has machines; end them first: rhdesk down {name}")
        for file in (self._folder / name).iterdir():
            file.unlink()
        (self._folder / name).rmdir()

    def _owner(self) -> str:
        """Which desk this is; made once."""
        file = self._folder / "owner"
        try:
            return file.read_text("ascii")
        except FileNotFoundError:
            whole_file.write(file, [secrets.token_hex(6).encode()])
            return file.read_text("ascii")

    def _read(self, file: Path) -> ClusterSpec:
        try:
            return msgspec.json.decode(file.read_bytes(), type=ClusterSpec)
        except msgspec.DecodeError as exc:
            raise DamagedStore(
                f"{file} is damaged: {exc}; remove it, and add the cluster again"
            ) from exc


def _has_address(name: str) -> bool:
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        return False
    return True
