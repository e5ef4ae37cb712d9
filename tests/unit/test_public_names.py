"""``import rhdesk as rh`` keeps the names and parameters of Runhouse v0.0.12, as far as this goes."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import rhdesk as rh

TOP = {
    "blob": "data, name, path, system, env, data_config, load, dryrun",
    "cluster": "name, host, ssh_creds, dryrun, kwargs",
    "conda_env": "reqs, conda_env, name, setup_cmds, env_vars, working_dir, dryrun",
    "current_folder": "",
    "env": "reqs, conda_env, name, setup_cmds, env_vars, working_dir, dryrun",
    "exists": "name, resource_type",
    "file": "data, name, path, system, data_config, dryrun",
    "folder": "name, path, system, dryrun, local_mount, data_config",
    "function": "fn, name, system, env, resources, dryrun, load_secrets, serialize_notebook_fn, "
    "reqs, setup_cmds",
    "ipython": "",
    "load": "name, instantiate, dryrun",
    "locate": "name_or_path, resolve_path",
    "module": "cls, name, system, env, dryrun",
    "ondemand_cluster": "name, instance_type, num_instances, provider, autostop_mins, use_spot, "
    "image_id, region, dryrun, memory, keep_disk",
    "resources": "path, full_paths",
    "sagemaker_cluster": "name",
    "set_folder": "path, create",
    "table": "data, name, path, system, data_config, partition_cols, mkdir, dryrun, stream_format, "
    "metadata",
    "unset_folder": "",
}
RESOURCE = {
    "delete_configs": "",
    "from_config": "config, dryrun",
    "from_name": "name, dryrun",
    "history": "num_entries",
    "is_local": "",
    "pin": "",
    "refresh": "",
    "save": "name, overwrite",
    "save_attrs_to_config": "config, attrs",
    "share": "users, access_type, notify_users, headers",
    "unname": "",
}
CLUSTER = {
    "add_secrets": "provider_secrets",
    "call": "module_name, method_name, args, stream_logs, run_name, remote, run_async, save, kwargs",
    "cancel": "key, force",
    "cancel_all": "force",
    "check_server": "restart_server",
    "clear": "",
    "connect_server_client": "force_reconnect",
    "delete": "keys",
    "disconnect": "",
    "get": "key, default, remote, stream_logs",
    "get_run": "run_name, folder_path",
    "install_packages": "reqs, env",
    "is_connected": "",
    "ipython": "",
    "is_up": "",
    "keys": "env",
    "notebook": "persist, sync_package_on_close, port_forward",
    "on_this_cluster": "",
    "put": "key, obj, env",
    "put_resource": "resource, state, dryrun",
    "remove_conda_env": "env",
    "restart_server": "_rh_install_url, resync_rh, restart_ray, env_activate_cmd",
    "run": "commands, env, stream_logs, port_forward, require_outputs, run_name",
    "run_python": "commands, env, stream_logs, port_forward, run_name",
    "save_config_to_cluster": "",
    "ssh": "",
    "ssh_creds": "",
    "ssh_tunnel": "local_port, remote_port, num_ports_to_try",
    "sync_secrets": "providers",
    "up": "",
    "up_if_not": "",
}
ENV = {"install": "force", "run": "cmds", "to": "system, path, mount, force_install"}
FUNCTION = {
    "call": "args, kwargs",
    "get": "run_key",
    "get_or_call": "run_name, load, local, args, kwargs",
    "http_url": "curl_command, args, kwargs",
    "keep_warm": "autostop_mins",
    "map": "args, kwargs",
    "notebook": "persist, sync_package_on_close, port_forward",
    "remote": "args, local, kwargs",
    "run": "args, local, kwargs",
    "send_secrets": "providers",
    "starmap": "args_lists, kwargs",
    "to": "system, env, reqs, setup_cmds, force_install",
}
MODULE = {
    "fetch": "item, stream_logs",
    "fetch_async": "key, remote, stream_logs",
    "get_or_to": "system, env, name",
    "refresh": "",
    "rename": "name",
    "resolve": "",
    "resolved_state": "",
    "save": "name, overwrite",
    "set_async": "key, value",
    "to": "system, env, name",
}
FOLDER = {
    "contains": "name_or_path",
    "exists_in_system": "",
    "get": "name, mode, encoding",
    "locate": "name_or_path",
    "ls": "full_paths, sort",
    "mkdir": "",
    "mv": "system, path, data_config",
    "open": "name, mode, encoding",
    "put": "contents, overwrite",
    "rm": "contents, recursive",
    "to": "system, path, data_config",
}
BLOB = {
    "exists_in_system": "",
    "fetch": "item, stream_logs",
    "resolved_state": "_state_dict",
    "rm": "",
    "to": "system, env, path, data_config",
    "write": "data",
}
TABLE = {
    "exists_in_system": "",
    "fetch": "columns",
    "get_metadata": "key",
    "set_metadata": "key, val",
    "stream": "batch_size, drop_last, shuffle_seed, shuffle_buffer_size, prefetch_batches",
    "write": "mode",
}
WANTED = [
    *((rh, name, takes) for name, takes in TOP.items()),
    *((rh.Resource, name, takes) for name, takes in RESOURCE.items()),
    *((rh.Cluster, name, takes) for name, takes in CLUSTER.items()),
    *((rh.Env, name, takes) for name, takes in ENV.items()),
    *((rh.Function, name, takes) for name, takes in FUNCTION.items()),
    *((rh.Module, name, takes) for name, takes in MODULE.items()),
    *((rh.Folder, name, takes) for name, takes in FOLDER.items()),
    *((rh.Blob, name, takes) for name, takes in BLOB.items()),
    *((rh.Table, name, takes) for name, takes in TABLE.items()),
]


@pytest.mark.parametrize(("owner", "name", "takes"), WANTED)
def test_a_name_takes_what_it_took(owner: object, name: str, takes: str) -> None:
    parameters = inspect.signature(getattr(owner, name)).parameters
    names = [each for each in parameters if each not in {"self", "_", "__"}]
    wanted = [each for each in takes.split(", ") if each]
    assert names[: len(wanted)] == wanted, "what is new comes last"


def test_every_public_name_is_there() -> None:
    for name in rh.__all__:
        assert getattr(rh, name) is not None
    assert set(rh.__all__) <= set(dir(rh))
    assert rh.fn is rh.function
    assert rh.obj_store is rh.here
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = rh.nonsense


def test_the_readme_shows_the_ten_lines_of_the_module() -> None:
    readme = (Path(rh.__file__).parents[1] / "README.md").read_text()
    (shown,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    lines = [line.strip() for line in (rh.__doc__ or "").splitlines() if line.strip()]
    wanted = [line.strip() for line in shown.splitlines() if line.strip()]
    start = lines.index(wanted[0])
    assert lines[start : start + len(wanted)] == wanted
    compile(shown, "README.md", "exec")
