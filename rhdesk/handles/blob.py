"""``rh.blob``: an object on a cluster under a key, as v0.0.12 spelled it."""

from __future__ import annotations

from typing import Any, ClassVar, Self
from uuid import uuid4

from rhdesk.errors import BadInput
from rhdesk.handles import naming
from rhdesk.handles.cluster import Cluster, cluster_of
from rhdesk.handles.folder import File, file
from rhdesk.handles.resource import Resource


def blob(
    data: Any = None,
    name: str | None = None,
    path: str | None = None,
    system: Any = None,
    env: Any = None,
    data_config: dict[str, Any] | None = None,
    load: bool = True,
    dryrun: bool = False,
) -> Blob | File:
    """An object on a cluster; with a path a file, and with a name alone the saved one.

    Args:
        data: Anything that can be pickled; for a file, bytes or text.
        name: Also the key it is kept under there.
        system: The cluster; without one the object is this program's, until `to` sends it.
        env: Does not count: every environment of a cluster sees the same objects.

    Raises:
        NotFound: Neither data nor path is given, and nothing is saved as *name*.
        BadInput: Nothing at all is given.
    """
    if path is not None:
        return file(data, name, path, system, data_config, dryrun)
    if data is None:
        if name is None:
            raise BadInput("a blob is of data, or has a name that is saved: rh.blob([1, 2, 3])")
        return Blob.from_name(name, dryrun=dryrun)
    made = Blob(name, system, dryrun=dryrun)
    return made.write(data)


class Blob(Resource):
    """An object, here or under a key of a cluster."""

    RESOURCE_TYPE: ClassVar[str] = "blob"

    def __init__(
        self, name: str | None = None, system: Any = None, key: str = "", dryrun: bool = False
    ) -> None:
        super().__init__(name, dryrun)
        self._cluster: Cluster | None = None if system is None else cluster_of(system)
        self.key = key or (self._name.leaf if self._name else f"blob-{uuid4().hex[:12]}")
        self._data: Any = None

    @classmethod
    def of_config(cls, config: dict[str, Any]) -> Self:
        made = cls(None, config["system"], str(config["key"]))
        made._name = naming.parse(str(config["name"])) if config.get("name") else None
        return made

    @property
    def system(self) -> Cluster | None:
        """The cluster it is on; None while it is this program's."""
        return self._cluster

    @property
    def config_for_rns(self) -> dict[str, Any]:
        if self._cluster is None:
            raise BadInput(
                "a blob is saved where others find it; send it first: .to('here') or "
                ".to('s3', path='bucket/x')"
            )
        return super().config_for_rns | {"system": self._cluster.key, "key": self.key}

    @property
    def data(self) -> Any:
        """The object."""
        return self.fetch()

    @data.setter
    def data(self, data: Any) -> None:
        self.write(data)

    def fetch(self, item: str | None = None, stream_logs: bool = False) -> Any:
        """The object, or its attribute *item*.

        Raises:
            KeyError: Nothing is under its key any more.
        """
        found = self._data
        if self._cluster is not None:
            found = self._cluster.get(self.key, default=KeyError)
        return found if item is None else getattr(found, item)

    def resolved_state(self, _state_dict: Any = None) -> Any:
        """The object; what a call gets that is given a blob."""
        return self.fetch()

    def write(self, data: Any) -> Self:
        """Have it be another object."""
        if self._cluster is None:
            self._data = data
        else:
            self._cluster.put(self.key, data)
        return self

    def to(
        self,
        system: Any,
        env: Any = None,
        path: str | None = None,
        data_config: dict[str, Any] | None = None,
    ) -> Blob | File:
        """On another cluster, under its key; or with *path* as a file, for which it must be bytes
        or text."""
        if path is not None:
            return file(self.fetch(), None, path, system, data_config)
        made = Blob(None, system, self.key)
        made._name = self._name
        return made.write(self.fetch())

    def rm(self) -> None:
        """Forget the object; nothing is under its key then."""
        self._data = None
        if self._cluster is not None:
            self._cluster.delete(self.key)

    def exists_in_system(self) -> bool:
        if self._cluster is None:
            return self._data is not None
        there = self._cluster.keys()
        return self.key in there
