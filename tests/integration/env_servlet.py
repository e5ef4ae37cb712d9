"""An env servlet without Ray around it, spoken to by hand."""

from __future__ import annotations

import base64
import http.client
import json
import subprocess
import sys
import uuid
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rhdesk.wire.messages import (
    Called,
    Definition,
    Fault,
    GoLive,
    LiveSeen,
    RunSeen,
    TakeOn,
    error_of,
    pack,
    unpack,
)
from rhdesk.wire.payload import Payload
from rhdesk.wire.routes import H_CALL, INTERPRETER, json_call, live, run

TOKEN = "t" * 64
SERVE = """
import asyncio, sys
from rhdesk_servlet import serve
{before}
config = serve.EnvConfig(name="base", folder=sys.argv[1], cluster_id=sys.argv[2], workers=4)
asyncio.run(serve.serve_env(config, lambda address: print(address, flush=True)))
"""


class EnvServlet:
    """A servlet process.

    Args:
        before: Python that runs in it first: a bug to plant.
    """

    def __init__(self, folder: Path, *, cluster_id: str = "c1", before: str = "") -> None:
        folder.mkdir(exist_ok=True)
        (folder / "token").write_text(TOKEN)
        script = SERVE.format(before=before)
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, str(folder), cluster_id],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        assert self.address, "the servlet did not start"

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def ask(self, method: str, path: str, body: bytes = b"", headers: Any = None) -> bytes:
        """What it answers.

        Raises:
            RhdeskError: What it raised.
        """
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            told = {"authorization": f"Bearer {TOKEN}"} | (headers or {})
            connection.request(method, path, body, told)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            if path.startswith("/call/"):
                raise error_of(Fault(**json.loads(data)))
            raise error_of(unpack(data, Fault))
        return data

    def define(
        self,
        name: str,
        qualname: str,
        files: Mapping[str, str],
        *,
        kind: str = "function",
        owner: str = "",
    ) -> str:
        """Send code, whose callable is in ``app.py``; returns the definition's hash."""
        blobs = {sha256(text.encode()).hexdigest(): text.encode() for text in files.values()}
        hashes = {path: sha256(text.encode()).hexdigest() for path, text in files.items()}
        listing = "".join(f"{path}\0{hashes[path]}\n" for path in sorted(hashes))
        tree = sha256(listing.encode()).hexdigest()
        self.ask("PUT", f"/v1/code/{tree}", pack((hashes, blobs)))
        told = Definition(kind=kind, name=name, tree=tree, module="app", qualname=qualname)
        head = pack(told)
        body = len(head).to_bytes(4, "little") + head
        path = f"/v1/definitions?owner={quote(owner)}"
        return self.ask("PUT", path, body).decode()

    def go_live(
        self, name: str, definition: str, *, owner: str = "", take: bool = False
    ) -> LiveSeen:
        asked = GoLive(definition=definition, owner=owner, take=take)
        return unpack(self.ask("PUT", live(name), pack(asked)), LiveSeen)

    def take_on(
        self,
        env_vars: dict[str, str],
        name: str = "",
        definition: str = "",
        python: str = sys.executable,
    ) -> LiveSeen:
        asked = TakeOn(
            python=python,
            env_vars=env_vars,
            name=name,
            live=GoLive(definition=definition) if name else None,
        )
        return unpack(self.ask("PUT", INTERPRETER, pack(asked)), LiveSeen)

    def live(self, name: str) -> str:
        return unpack(self.ask("GET", live(name)), LiveSeen).definition

    def call(self, name: str, method: str = "call", **arguments: Any) -> Any:
        """By name, as somebody with curl does."""
        body = json.dumps(arguments).encode()
        return json.loads(self.ask("POST", json_call(name, method), body))

    def make(self, name: str, definition: str, *args: Any) -> None:
        """Make the instance of a module."""
        run_id = self.start(name, definition, "__init__", *args)
        while (seen := self.seen(run_id)).status == "running":
            pass
        assert seen.status == "succeeded", seen.failed

    def start(self, name: str, definition: str, method: str, *args: Any) -> str:
        """Start a call of an instance, and do not wait for it."""
        called = Called(
            run_id=uuid.uuid4().hex,
            definition=definition,
            instance=name,
            method=method,
            detach=True,
            as_json=True,
        )
        headers = {H_CALL: base64.b64encode(pack(called)).decode()}
        self.ask("POST", "/v1/call", Payload.of_call(args, {}).to_bytes(), headers)
        return called.run_id

    def seen(self, run_id: str) -> RunSeen:
        return unpack(self.ask("GET", run(run_id)), RunSeen)
