"""A cluster spoken to by hand, as somebody would who has no rhdesk."""

from __future__ import annotations

import base64
import http.client
import json

from rhdesk.wire.messages import Called, Definition, pack
from rhdesk.wire.routes import H_CALL, H_CLUSTER, H_WIRE, WIRE
from tests.conftest import Place


class Far:
    """The gateway and the base env servlet of a place's cluster, as they are now."""

    def __init__(self, place: Place) -> None:
        folder = place.data / "clusters" / "here"
        started = json.loads((folder / "cluster.json").read_text())
        servlet = json.loads((folder / "envs" / "base" / "servlet.json").read_text())
        self.cluster_id = started["cluster_id"]
        self.token = (folder / "token").read_text()
        self.addresses = {
            "gateway.py": f"127.0.0.1:{started['port']}",
            "app.py": servlet["address"],
        }

    def headers(self, **changed: str | None) -> dict[str, str]:
        right: dict[str, str | None] = {
            "authorization": f"Bearer {self.token}",
            H_CLUSTER: self.cluster_id,
            H_WIRE: str(WIRE),
        }
        right |= {key.replace("_", "-"): value for key, value in changed.items()}
        return {key: value for key, value in right.items() if value is not None}

    def ask(
        self, source: str, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.addresses[source], timeout=10)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def define(self, module: str, qualname: str) -> str:
        """Make a function of the standard library callable as ``~/<qualname>``."""
        head = pack(
            Definition(kind="function", name=f"~/{qualname}", module=module, qualname=qualname)
        )
        body = len(head).to_bytes(4, "little") + head
        status, digest = self.ask("app.py", "PUT", "/v1/definitions", body, self.headers())
        assert status == 200, digest
        return digest.decode()

    def call(self, called: Called, body: bytes) -> tuple[int, bytes]:
        headers = self.headers() | {H_CALL: base64.b64encode(pack(called)).decode()}
        return self.ask("app.py", "POST", "/v1/call", body, headers)
