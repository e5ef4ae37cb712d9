"""rhdesk: a local-first desk for functions, machines and their record.

    import rhdesk as rh

    def train(alpha: float) -> float:
        print("training with", alpha)
        return 1 / alpha

    gpu = rh.cluster("here").up_if_not()
    env = rh.env(name="digits", reqs=["scikit-learn"])
    remote = rh.function(train).to(gpu, env=env)
    print(remote(0.3))
    remote.save("~/train")

Names below load on first touch (PEP 562): importing rhdesk loads nothing it does not use yet.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rhdesk.blocking import Desk as Desk
    from rhdesk.desk import AsyncDesk as AsyncDesk
    from rhdesk.errors import RhdeskError as RhdeskError

__version__ = "0.1.0"

_HOME = {
    "AsyncDesk": "rhdesk.desk",
    "Desk": "rhdesk.blocking",
    "RhdeskError": "rhdesk.errors",
}
"""Which module each public name lives in."""

__all__ = ["AsyncDesk", "Desk", "RhdeskError", "__version__"]


def __getattr__(name: str) -> Any:
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
