"""What a node is told of functions: only what can run there is taken."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from rhdesk.code.bundling import bundle_of
from rhdesk.errors import CannotSend
from rhdesk_servlet.code import CodeFolder


def test_a_pickle_of_another_python_is_refused_with_the_difference(tmp_path: Path) -> None:
    folder = CodeFolder(tmp_path)
    bundle, blobs = bundle_of(lambda number: number + 1)
    definition = bundle.definition("add")
    assert definition.python == f"{sys.version_info.major}.{sys.version_info.minor}"
    folder.put(bundle.tree, bundle.files, blobs)
    assert folder.define(definition, blobs[bundle.blob]) == bundle.digest("add")
    other = msgspec.structs.replace(definition, python="3.9")
    with pytest.raises(CannotSend, match=r"bytecode of Python 3\.9, and this environment runs"):
        folder.define(other, blobs[bundle.blob])


def test_source_says_no_python_for_it_runs_on_any() -> None:
    bundle, _ = bundle_of(sha_of)
    assert bundle.files
    assert bundle.definition("sha").python == ""


def sha_of(data: bytes) -> str:
    return sha256(data).hexdigest()
