"""``rh.ondemand_cluster``: machines that are brought into being when they are needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Self

import msgspec

from rhdesk.errors import BadInput
from rhdesk.handles.cluster import Cluster
from rhdesk.handles.session import session
from rhdesk.models import Machines, Plan, SecretText

_OLD: Final = {"num_instances": "count"}
"""What v0.0.12 called it, and what it is called here."""
_FIELDS: Final = ("instance_type", "num_instances", "provider", "use_spot", "image_id", "region")


def ondemand_cluster(
    name: str,
    instance_type: str | None = None,
    num_instances: int | None = None,
    provider: str | None = None,
    autostop_mins: int | None = None,
    use_spot: bool = False,
    image_id: str | None = None,
    region: str | None = None,
    dryrun: bool = False,
    *,
    memory: str | None = None,
    keep_disk: bool = False,
) -> OnDemandCluster:
    """A cluster whose machines SkyPilot brings into being; nothing is started until `up`.

    Args:
        instance_type: Accelerators of each machine, ``A100:4``; processors, ``CPU:8+``; or a type of
            the provider's own, ``m6i.large``. Nothing: what the group says, or the least.
        num_instances: How many machines; 1 when nothing is said.
        provider: As SkyPilot calls it: aws, gcp, azure, lambda, slurm, kubernetes ...; ``cheapest``.
        autostop_mins: They end after so many minutes without a run; -1 is never. Nothing: the
            setting ``autostop_mins``.
        memory: GiB of each, ``16`` or ``16+``.
        keep_disk: Autostop turns them off, and `up` on again.

    Raises:
        BadInput: Something of it has no meaning.
        StoreBusy: It is up, with other machines.
    """
    name = name.removeprefix("~/")
    said = {
        "instance_type": instance_type, "count": num_instances, "provider": provider,
        "use_spot": use_spot, "image_id": image_id, "region": region,
        "memory": memory, "stop": keep_disk,
    }  # fmt: skip
    desk = session().desk
    known = desk.cluster_spec(name) if name in desk.cluster_names() else None
    given = {field: value for field, value in said.items() if value}
    if known is not None and known.machines is not None and not given and autostop_mins is None:
        return OnDemandCluster(name, dryrun=dryrun)
    try:
        machines = msgspec.convert(given, Machines)
    except msgspec.ValidationError as exc:
        raise BadInput(f"rh.ondemand_cluster({name!r}, ...): {exc}") from exc
    times = {} if autostop_mins is None else {"autostop_mins": autostop_mins}
    desk.add_cluster(desk.wanted(name, machines, **times))
    return OnDemandCluster(name, dryrun=dryrun)


def sagemaker_cluster(name: str, **_: Any) -> Cluster:
    """Of v0.0.12, through a service of one provider that it cannot be had of any more.

    Raises:
        BadInput: Always; the message says what to use instead.
    """
    raise BadInput(
        f"rh.sagemaker_cluster({name!r}) is not there any more: training jobs of SageMaker take no "
        "SSH. Machines of the same provider: rh.ondemand_cluster"
        f"({name!r}, instance_type='A10G:1', provider='aws')"
    )


class OnDemandCluster(Cluster):
    """A cluster of machines that come and go. Otherwise as any other."""

    @classmethod
    def of_config(cls, config: dict[str, Any]) -> Self:
        name = str(config["name"]).removeprefix("~/").removeprefix("^")
        fields = {field: config[field] for field in _FIELDS if config.get(field)}
        ondemand_cluster(name, autostop_mins=config.get("autostop_mins"), **fields)
        return cls(name)

    def plan(self) -> Plan:
        """What `up` would start, where, at what price; nothing is started.

        Raises:
            BadInput, Refused, ConnectionFailed: It cannot be; as `AsyncDesk.plan`.
        """
        desk = session().desk
        spec = desk.cluster_spec(self.key)
        assert spec is not None, "it was added"
        plans = [event for event in desk.plan(spec) if isinstance(event, Plan)]
        return plans[-1]

    def up(self) -> Self:
        """Bring its machines up, if the group's budget has room, and start the servlets on them."""
        self.plan()
        return super().up()

    def stop(self) -> None:
        """Turn its machines off and keep their disks; `up` turns them on again."""
        session().show(session().desk.stop(self.key))

    def teardown_and_delete(self) -> None:
        """The same, and forget the cluster: its name too, if it was saved."""
        self.teardown()
        session().desk.forget_cluster(self.key)
        if session().desk.exists(self.rns_address or f"~/{self.key}"):
            self.delete_configs()

    @staticmethod
    def cluster_ssh_key(path_to_file: str | Path) -> SecretText:
        """A private key of a file; it cannot be printed by accident.

        Raises:
            BadInput: It cannot be read.
        """
        try:
            return SecretText(Path(path_to_file).expanduser().read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as exc:
            raise BadInput(f"{path_to_file} cannot be read: {exc}") from exc

    @property
    def config_for_rns(self) -> dict[str, Any]:
        spec = session().desk.cluster_spec(self.key)
        machines = (spec.machines if spec else None) or Machines()
        said = {field: getattr(machines, _OLD.get(field, field)) for field in _FIELDS}
        mins = spec.autostop_mins if spec else -1
        return super().config_for_rns | {**said, "autostop_mins": mins}
