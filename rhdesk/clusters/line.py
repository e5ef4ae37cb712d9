"""What it takes to speak to one cluster: where its gateway is, and the token that opens it."""

from __future__ import annotations

import msgspec

from rhdesk.wire.routes import H_CLUSTER, H_WIRE, WIRE


class Line(msgspec.Struct, frozen=True):
    cluster: str
    cluster_id: str
    address: str
    """The gateway's, ``host:port``."""
    token: str

    def headers(self) -> dict[str, str]:
        return {
            "authorization": f"Bearer {self.token}",
            H_CLUSTER: self.cluster_id,
            H_WIRE: str(WIRE),
        }

    def __repr__(self) -> str:
        return f"Line({self.cluster!r}, {self.address!r}, token=***)"
