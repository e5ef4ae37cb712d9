"""Who may speak to a servlet. Decided from the request's headers, before its body is read."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha256

from rhdesk.errors import Refused
from rhdesk.wire.routes import H_CLUSTER, H_WIRE, WIRE


class Doorman:
    """Knows the one token of the cluster, as a hash.

    Args:
        cluster_id: Requests meant for another cluster are refused, token or not.
    """

    def __init__(self, cluster_id: str, token: str) -> None:
        self._cluster_id = cluster_id.encode()
        self._digest = sha256(token.encode()).digest()

    def admit(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Let a request in, or raise.

        Raises:
            Refused: No token, a wrong one, one for another cluster, or a wire this servlet does
                not speak.
        """
        token = cluster = wire = b""
        for name, value in headers:
            if name == b"authorization":
                token = value.removeprefix(b"Bearer ")
            elif name == _CLUSTER:
                cluster = value
            elif name == _WIRE:
                wire = value
        if not token:
            raise Refused("this servlet asks for a token: Authorization: Bearer ...")
        if not hmac.compare_digest(sha256(token).digest(), self._digest):
            raise Refused("the token is not this cluster's")
        if cluster and cluster != self._cluster_id:
            raise Refused(
                f"the request is for cluster {cluster.decode('latin-1')!r}, "
                f"and this is {self._cluster_id.decode()!r}"
            )
        if wire and wire != _SPOKEN:
            raise Refused(
                f"this servlet speaks wire {WIRE}, the request {wire.decode('latin-1')!r}; "
                "bring the cluster down and up with one version of rhdesk"
            )


_CLUSTER = H_CLUSTER.encode()
_WIRE = H_WIRE.encode()
_SPOKEN = str(WIRE).encode()
