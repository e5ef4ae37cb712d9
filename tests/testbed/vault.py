"""A Vault that is not one: its HTTP API as far as secrets need it, with the faults a real one has.

Written from the published API: KV version 2 with check-and-set, tokens that end and are renewed,
AppRole, seal status and health. There is no Vault to install where the tests run; against a real
one the same contract is tried with ``rhdesk secret verify vault``.
"""

from __future__ import annotations

import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

Answer = tuple[int, dict[str, Any] | None]

FAULTS = (
    "sealed", "standby", "performance standby", "forbidden", "not allowed", "overloaded",
    "internal error", "bad gateway", "slow", "cut", "cut before", "truncated", "not json",
    "empty", "redirect", "unset",
)  # fmt: skip
"""What `Vault.fault` can be; each is how one kind of failure answers."""


class Refusal(Exception):
    def __init__(self, status: int, *errors: str, data: dict[str, Any] | None = None) -> None:
        self.status = status
        self.errors = list(errors)
        self.data = data


class Token:
    def __init__(self, ttl_s: float = 0, *, renewable: bool = True) -> None:
        self.text = f"hvs.{secrets.token_hex(12)}"
        self.ttl_s = ttl_s
        self.renewable = renewable
        self.ends_at = time.time() + ttl_s if ttl_s else 0.0

    @property
    def left_s(self) -> int:
        return max(0, round(self.ends_at - time.time())) if self.ttl_s else 0

    @property
    def is_good(self) -> bool:
        return not self.ttl_s or time.time() < self.ends_at


class Vault:
    """What it holds, and how it fails."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.root = Token()
        self.tokens = {self.root.text: self.root}
        self.roles: dict[str, str] = {}
        """Secret id by role id."""
        self.role_ttl_s = 3600.0
        self.entries: dict[str, dict[str, Any]] = {}
        self.fault = ""
        self.asked: list[str] = []
        self.address = ""

    def token(self, ttl_s: float, *, renewable: bool = True) -> Token:
        made = Token(ttl_s, renewable=renewable)
        self.tokens[made.text] = made
        return made

    def answer(self, verb: str, path: str, query: dict[str, str], sent: Any, token: str) -> Answer:
        self.asked.append(f"{verb} {path}")
        if path == "sys/health":
            return 200, {"initialized": True, "sealed": False, "standby": False}
        if path == "auth/approle/login":
            return self._approle(sent)
        known = self.tokens.get(token)
        if known is None or not known.is_good:
            raise Refusal(403, "permission denied")
        if path == "auth/token/lookup-self":
            return 200, {"data": {"id": token, "ttl": known.left_s, "renewable": known.renewable}}
        if path == "auth/token/renew-self":
            known.ends_at = time.time() + known.ttl_s
            return 200, {"auth": {"client_token": token, "lease_duration": known.left_s}}
        mount, _, rest = path.partition("/")
        kind, _, name = rest.partition("/")
        if mount != "secret":
            raise Refusal(404)
        routes: dict[tuple[str, str], Callable[[str, dict[str, str], Any], Answer]] = {
            ("GET", "data"): self._read,
            ("POST", "data"): self._write,
            ("GET", "metadata"): self._metadata,
            ("LIST", "metadata"): self._list,
            ("POST", "metadata"): self._describe,
            ("DELETE", "metadata"): self._delete,
        }
        verb = "LIST" if query.get("list") == "true" else {"PUT": "POST"}.get(verb, verb)
        if (verb, kind) not in routes:
            raise Refusal(405, "unsupported operation")
        return routes[verb, kind](name, query, sent)

    def _approle(self, sent: Any) -> Answer:
        role, secret = sent.get("role_id"), sent.get("secret_id")
        if role not in self.roles or self.roles[role] != secret:
            raise Refusal(400, "invalid role or secret ID")
        made = self.token(self.role_ttl_s)
        return 200, {"auth": {"client_token": made.text, "lease_duration": made.left_s}}

    def _read(self, name: str, query: dict[str, str], _sent: Any) -> Answer:
        entry = self.entries.get(name)
        number = int(query.get("version") or 0) or (entry["current"] if entry else 0)
        if entry is None or number not in entry["versions"]:
            raise Refusal(404)
        version = entry["versions"][number]
        about = {"version": number, **version["about"], "custom_metadata": entry["custom"]}
        return 200, {"data": {"data": version["data"], "metadata": about}}

    def _write(self, name: str, _query: dict[str, str], sent: Any) -> Answer:
        entry = self.entries.get(name) or {"current": 0, "versions": {}, "custom": None}
        expected = (sent.get("options") or {}).get("cas")
        if expected is None:
            raise Refusal(400, "check-and-set parameter required for this call")
        if expected != entry["current"]:
            raise Refusal(400, "check-and-set parameter did not match the current version")
        number = entry["current"] + 1
        about = {"created_time": _now(), "deletion_time": "", "destroyed": False}
        entry["versions"][number] = {"data": sent["data"], "about": about}
        entry["current"] = number
        self.entries[name] = entry
        return 200, {"data": {"version": number, **about}}

    def _metadata(self, name: str, _query: dict[str, str], _sent: Any) -> Answer:
        if (entry := self.entries.get(name)) is None:
            raise Refusal(404)
        versions = {str(number): each["about"] for number, each in entry["versions"].items()}
        return 200, {
            "data": {
                "current_version": entry["current"],
                "custom_metadata": entry["custom"],
                "versions": versions,
            }
        }

    def _list(self, name: str, _query: dict[str, str], _sent: Any) -> Answer:
        folder = f"{name.rstrip('/')}/" if name else ""
        below = [each.removeprefix(folder) for each in self.entries if each.startswith(folder)]
        keys = {each if "/" not in each else f"{each.partition('/')[0]}/" for each in below}
        if not keys:
            raise Refusal(404)
        return 200, {"data": {"keys": sorted(keys)}}

    def _describe(self, name: str, _query: dict[str, str], sent: Any) -> Answer:
        if (entry := self.entries.get(name)) is None:
            raise Refusal(404)
        entry["custom"] = sent.get("custom_metadata")
        return 204, None

    def _delete(self, name: str, _query: dict[str, str], _sent: Any) -> Answer:
        self.entries.pop(name, None)
        return 204, None


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


@contextmanager
def vault() -> Iterator[Vault]:
    """One that serves on loopback."""
    state = Vault()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            pass

        def do(self) -> None:
            address = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if self._fails():
                return
            path = unquote(address.path).removeprefix("/v1/").strip("/")
            token = self.headers.get("X-Vault-Token") or ""
            try:
                sent = json.loads(body) if body else {}
                with state.lock:
                    status, said = state.answer(
                        self.command, path, dict(parse_qsl(address.query)), sent, token
                    )
            except Refusal as refusal:
                status, said = refusal.status, {"errors": refusal.errors}
            data = json.dumps(said).encode() if said is not None else b""
            if state.fault == "truncated":
                data = data[: len(data) // 2]
            elif state.fault == "not json":
                data = b"<html>a proxy says hello</html>"
            elif state.fault == "empty":
                data = b"{}"
            self._send(status, data)
            if state.fault == "cut":
                self._hang_up()

        def _fails(self) -> bool:
            refused = {
                "sealed": (503, "Vault is sealed"),
                "standby": (429, "standby"),
                "performance standby": (473, "performance standby"),
                "forbidden": (403, "permission denied"),
                "not allowed": (401, "unauthorized"),
                "overloaded": (429, "rate limit quota exceeded"),
                "internal error": (500, "internal error"),
                "bad gateway": (502, "bad gateway"),
                "unset": (501, "Vault is not initialized"),
            }
            if state.fault in refused:
                status, text = refused[state.fault]
                self._send(status, json.dumps({"errors": [text]}).encode())
                return True
            if state.fault == "slow":
                time.sleep(2.5)
            if state.fault == "cut before":
                self._hang_up()
                return True
            if state.fault == "redirect":
                self.send_response(307)
                self.send_header("Location", "http://127.0.0.1:1/v1/secret")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return True
            return False

        def _hang_up(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def _send(self, status: int, data: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            length = len(data) * 2 if state.fault == "cut" else len(data)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            try:
                self.wfile.write(data)
            except OSError:
                self.close_connection = True

        do_GET = do_POST = do_PUT = do_DELETE = do_LIST = do_PATCH = do

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
