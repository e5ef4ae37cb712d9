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
    from rhdesk.handles.blob import Blob as Blob
    from rhdesk.handles.blob import blob as blob
    from rhdesk.handles.cluster import Cluster as Cluster
    from rhdesk.handles.cluster import cluster as cluster
    from rhdesk.handles.cluster import here as here
    from rhdesk.handles.cluster import here as obj_store
    from rhdesk.handles.configs import configs as configs
    from rhdesk.handles.env import Env as Env
    from rhdesk.handles.env import conda_env as conda_env
    from rhdesk.handles.env import env as env
    from rhdesk.handles.folder import File as File
    from rhdesk.handles.folder import Folder as Folder
    from rhdesk.handles.folder import file as file
    from rhdesk.handles.folder import folder as folder
    from rhdesk.handles.function import Function as Function
    from rhdesk.handles.function import function as function
    from rhdesk.handles.module import Module as Module
    from rhdesk.handles.module import module as module
    from rhdesk.handles.naming import current_folder as current_folder
    from rhdesk.handles.naming import exists as exists
    from rhdesk.handles.naming import ipython as ipython
    from rhdesk.handles.naming import load as load
    from rhdesk.handles.naming import locate as locate
    from rhdesk.handles.naming import resources as resources
    from rhdesk.handles.naming import set_folder as set_folder
    from rhdesk.handles.naming import unset_folder as unset_folder
    from rhdesk.handles.ondemand import OnDemandCluster as OnDemandCluster
    from rhdesk.handles.ondemand import ondemand_cluster as ondemand_cluster
    from rhdesk.handles.ondemand import sagemaker_cluster as sagemaker_cluster
    from rhdesk.handles.resource import Resource as Resource
    from rhdesk.handles.secrets import Secrets as Secrets
    from rhdesk.handles.table import Table as Table
    from rhdesk.handles.table import table as table

__version__ = "0.1.0"

_HOME = {
    "AsyncDesk": "rhdesk.desk",
    "Blob": "rhdesk.handles.blob",
    "Cluster": "rhdesk.handles.cluster",
    "Desk": "rhdesk.blocking",
    "Env": "rhdesk.handles.env",
    "File": "rhdesk.handles.folder",
    "Folder": "rhdesk.handles.folder",
    "Function": "rhdesk.handles.function",
    "Module": "rhdesk.handles.module",
    "OnDemandCluster": "rhdesk.handles.ondemand",
    "Resource": "rhdesk.handles.resource",
    "RhdeskError": "rhdesk.errors",
    "Secrets": "rhdesk.handles.secrets",
    "Table": "rhdesk.handles.table",
    "blob": "rhdesk.handles.blob",
    "cluster": "rhdesk.handles.cluster",
    "conda_env": "rhdesk.handles.env",
    "configs": "rhdesk.handles.configs",
    "current_folder": "rhdesk.handles.naming",
    "env": "rhdesk.handles.env",
    "exists": "rhdesk.handles.naming",
    "file": "rhdesk.handles.folder",
    "folder": "rhdesk.handles.folder",
    "function": "rhdesk.handles.function",
    "here": "rhdesk.handles.cluster",
    "ipython": "rhdesk.handles.naming",
    "load": "rhdesk.handles.naming",
    "locate": "rhdesk.handles.naming",
    "module": "rhdesk.handles.module",
    "ondemand_cluster": "rhdesk.handles.ondemand",
    "resources": "rhdesk.handles.naming",
    "sagemaker_cluster": "rhdesk.handles.ondemand",
    "set_folder": "rhdesk.handles.naming",
    "table": "rhdesk.handles.table",
    "unset_folder": "rhdesk.handles.naming",
}
"""Which module each public name lives in."""

_OLD_SPELLINGS = {"fn": "function", "obj_store": "here", "send": "function"}
"""Names of v0.0.12 that mean another."""

__all__ = [
    "AsyncDesk",
    "Cluster",
    "Desk",
    "Env",
    "Function",
    "Module",
    "OnDemandCluster",
    "Resource",
    "RhdeskError",
    "Secrets",
    "Table",
    "__version__",
    "cluster",
    "conda_env",
    "configs",
    "current_folder",
    "env",
    "exists",
    "function",
    "here",
    "ipython",
    "load",
    "locate",
    "module",
    "obj_store",
    "ondemand_cluster",
    "resources",
    "sagemaker_cluster",
    "set_folder",
    "table",
    "unset_folder",
]


def __getattr__(name: str) -> Any:
    name = _OLD_SPELLINGS.get(name, name)
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
