"""``python -m rhdesk_servlet``: what is started on a cluster's machines."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from rhdesk.errors import RhdeskError


def main() -> None:
    """``start CONFIG``: gateway and base env servlet; ends when both answer.

    ``env CONFIG``: one env servlet in this process, without Ray.

    ``node VERB``: start, end or look at this machine as a node; see `rhdesk_servlet.node`.
    """
    verb, file = sys.argv[1:3]
    if verb == "node":
        from rhdesk_servlet import node

        node.main(file)
        return
    data = Path(file).read_bytes()
    try:
        if verb == "start":
            from rhdesk_servlet.gateway import ClusterConfig
            from rhdesk_servlet.ray_host import start_cluster

            start_cluster(msgspec.json.decode(data, type=ClusterConfig))
        elif verb == "env":
            import uvloop

            from rhdesk_servlet.serve import EnvConfig, serve_env

            config = msgspec.json.decode(data, type=EnvConfig)
            uvloop.run(serve_env(config, lambda address: _say(address)))
        else:
            raise SystemExit(f"no such verb: {verb}")
    except RhdeskError as error:
        raise SystemExit(f"{error.code}: {error}") from error


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
