"""Files between a host and a bucket without a detour: the host moves them, this machine only signs.

The host is given no credentials, but for each file an address that is good for that one request
and for an hour (AWS Signature Version 4, "Authenticating Requests: Using Query Parameters"). What
goes up carries its MD5, which is signed too, so the bucket takes nothing else; what comes down is
compared with the MD5 that the bucket keeps of it. Blocking.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Final

from rhdesk.data.faults import told
from rhdesk.data.host_files import HostFiles
from rhdesk.data.on_host import NotThere, OnHost
from rhdesk.data.place import Place
from rhdesk.errors import NotFound
from rhdesk.models import Entry

_GOOD_FOR_S: Final = 3600
_LARGEST: Final = 5 * 1024**3
"""What a bucket takes in one request."""
_MD5: Final = re.compile(r"[0-9a-f]{32}")


class Direct:
    """The way between one host and one bucket."""

    def __init__(self, host: OnHost) -> None:
        self._host = host

    def send(self, source: Place, target: Place, entry: Entry) -> int:
        """Have a file of the host be in the bucket; returns how much went, 0 if it was there.

        Raises:
            NotThere: It cannot go this way; nothing has changed.
        """
        if entry.size_bytes > _LARGEST:
            raise NotThere(f"{source} is too large for one request")
        seen = self._host.ask(do="hashes", path=source.path, kind="md5")
        if _tag(target) == seen["hash"]:
            return 0
        md5 = bytes.fromhex(seen["hash"])
        headers = {"Content-MD5": _base64(md5)}
        with told(target):
            url = target.files.url(
                target.path, _GOOD_FOR_S, client_method="put_object", ContentMD5=_base64(md5)
            )
        self._host.ask(do="up", path=source.path, url=url, headers=headers)
        target.files.invalidate_cache()
        return int(seen["size"])

    def fetch(self, source: Place, target: Place, entry: Entry) -> int:
        """Have a file of the bucket be on the host; returns how much came.

        Raises:
            NotThere: It cannot go this way; nothing has changed.
        """
        if not _MD5.fullmatch(tag := _tag(source)):
            raise NotThere(f"the bucket keeps no MD5 of {source}")
        with told(source):
            url = source.files.url(source.path, _GOOD_FOR_S)
        self._host.ask(do="down", path=target.path, url=url, md5=tag)
        return entry.size_bytes


def direct(source: Place, target: Place) -> Direct | None:
    """The straight way between two places, if there may be one."""
    host, bucket = (source, target) if isinstance(source.files, HostFiles) else (target, source)
    if not isinstance(host.files, HostFiles) or bucket.where.system != "s3":
        return None
    return Direct(host.files.on_host) if host.files.on_host is not None else None


def _tag(there: Place) -> str:
    """What a bucket keeps of a file: its MD5, or something else; empty where there is none."""
    try:
        with told(there):
            return str(there.files.info(there.path).get("ETag", "")).strip('"')
    except NotFound:
        return ""


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
