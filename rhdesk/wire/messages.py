"""The messages themselves, as msgspec structs; on the wire they are msgpack."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from rhdesk.errors import BadInput, RhdeskError, error_classes
from rhdesk.models import EnvSpec
from rhdesk.wire.pickles import Buffer
from rhdesk.wire.secrets import Delivered

T = TypeVar("T")

JSON_TYPE: Final = "application/json"
PAYLOAD_TYPE: Final = "application/x-rhdesk-payload"
FRAMES_TYPE: Final = "application/x-rhdesk-frames"
MESSAGE_TYPE: Final = "application/x-msgpack"


class Definition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A function or class as a servlet knows it; its hash is what a call names."""

    kind: str
    """``function`` or ``module``."""
    name: str
    """Full name, ``~/digits``; never just the leaf, which two folders may share."""
    tree: str = ""
    """Hash of the code tree it is imported from; empty when it travels by value."""
    module: str = ""
    qualname: str = ""
    blob: str = ""
    """SHA-256 of the pickle, when it travels by value or has state."""
    python: str = ""
    """Minor version of Python the pickle is of, ``3.11``: it may hold bytecode, which no other
    reads."""
    signature: dict[str, Any] = {}
    """A `Signature`, for the JSON endpoint's own error messages."""


class Called(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who is called, and how. The arguments travel beside it."""

    run_id: str
    """Idempotency key: a second request with it never runs the function again."""
    definition: str
    """Hash of the `Definition`."""
    instance: str = ""
    """Key of a module instance on the cluster; its state is kept between calls."""
    method: str = ""
    """Empty for a function; ``__init__`` makes the instance."""
    timeout_s: float = 0.0
    """0 is no limit."""
    keep: str = ""
    """Keep the result on the cluster under this key and answer with the key."""
    lines: bool = True
    """Whether the log is wanted in the answer."""
    items: int = 0
    """Above 0, a map: the body begins with that many u32 lengths, then a payload for each item."""
    detach: bool = False
    """Answer with a `RunSeen` as soon as the run is accepted; it is followed by another request."""
    as_json: bool = False
    """Answer with what JSON can hold: a caller that opens no pickles asks for this."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    kind: str
    """Qualified class name, ``builtins.ValueError``."""
    message: str
    traceback: str = ""
    pickle: bytes = b""
    """The exception itself, for callers that may unpickle; empty when it cannot be pickled."""


class RunEnd(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    run_id: str
    status: str
    started_at: float = 0.0
    ended_at: float = 0.0
    lines: int = 0
    """How many lines the run printed."""
    failed: Failed | None = None


class RunSeen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a servlet knows of a run."""

    run_id: str
    status: str
    """As `RunStatus`; ``unknown`` when the servlet never heard of it."""
    started_at: float = 0.0
    ended_at: float = 0.0
    lines: int = 0
    items: int = 0
    failed: Failed | None = None


class GoLive(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Have calls by a name mean this definition."""

    definition: str
    """Hash of the `Definition`; it was sent before."""
    owner: str = ""
    """Whose name it is: two projects may each have a ``~/train``."""
    take: bool = False
    """Also where it is somebody else's there."""


class LiveSeen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What calls by a name mean."""

    name: str
    definition: str
    owner: str = ""
    instance: str = ""
    """As `rhdesk.models.Live` has it; answers a `GoLive`."""
    why: str = ""
    """Why they still mean what they meant before it was asked to change."""
    took_s: float = 0.0


class TakeOn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Run what is called from now on in another interpreter."""

    python: str
    env_vars: dict[str, str] = {}
    name: str = ""
    live: GoLive | None = None
    """What *name* means from the same moment on."""


class MakeEnv(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Make an environment, or find it made."""

    spec: EnvSpec
    lines: tuple[str, ...] = ()
    """Requirements as pip reads them."""
    folders: tuple[str, ...] = ()
    """Local projects to install, as folders on the cluster."""
    force: bool = False
    """Resolve again, and start the env servlet anew."""
    name: str = ""
    live: GoLive | None = None
    """What *name* means from the moment on when the environment is what is asked."""
    work: str = ""
    """Id of the working folder that was sent to the node; runs stand in it."""
    secrets: Delivered = Delivered()
    """What its runs find while it lasts."""


class Keys(msgspec.Struct, frozen=True):
    """Which objects are meant; None is all of them."""

    keys: list[str] | None


class EnvSeen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An env servlet, as the gateway sees it."""

    name: str
    address: str = ""
    """host:port of its own endpoint; empty while it is not up."""
    pid: int = 0
    python: str = ""
    lock: str = ""
    state: str = "up"
    why: str = ""
    started_at: float = 0.0
    packages: tuple[str, ...] = ()


class Health(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    cluster: str
    cluster_id: str
    wire: int
    pid: int
    started_at: float
    cpus: int = 0
    ray: str = ""
    python: str = ""
    envs: tuple[EnvSeen, ...] = ()
    node: str = ""
    memory_bytes: int = 0
    gpus: int = 0
    gpu_model: str = ""
    idle_s: float = 0.0
    """Seconds since anything ran on the node, or anybody called."""
    autostop_s: float = -1.0
    """It ends itself when it was idle for so long; below 0 is never."""
    servlet: str = ""
    """Hash of the code that serves."""


class NodeOfRay(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A node as Ray's head sees it; one that is lost stays in the list."""

    name: str
    address: str
    is_alive: bool
    why: str = ""
    resources: dict[str, float] = {}


class Retired(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an env servlet answers when it is asked to make way for newer code."""

    is_retired: bool
    """It takes no more calls, and has nothing that anybody could miss."""
    why: str = ""
    """What it still has to do."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error as it crosses the wire."""

    code: str
    message: str
    facts: dict[str, Any] = {}


_encoder = msgspec.msgpack.Encoder()
pack = _encoder.encode


def unpack(data: Buffer, kind: type[T]) -> T:
    """Read a message.

    Raises:
        BadInput: *data* is not one.
    """
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except msgspec.DecodeError as exc:
        raise BadInput(f"not a {kind.__name__} message: {exc}") from exc


def fault_of(error: RhdeskError) -> Fault:
    return Fault(code=error.code, message=str(error), facts=error.facts())


def error_of(fault: Fault) -> RhdeskError:
    """The same error again, on this side."""
    cls = error_classes().get(fault.code, RhdeskError)
    error = cls.__new__(cls, fault.message)
    Exception.__init__(error, fault.message)
    for fact, value in fault.facts.items():
        setattr(error, fact, value)
    return error
