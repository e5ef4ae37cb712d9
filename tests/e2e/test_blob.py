"""An object on a cluster, by its key and by its name."""

from __future__ import annotations

import pytest

from tests.conftest import Place

pytestmark = pytest.mark.ray

PROGRAM = """
import rhdesk as rh
made = rh.blob({"a": [1, 2]}, name="~/kept_blob").to("here")
print(made.data, made.key in rh.here.keys())
made.save()
found = rh.load("~/kept_blob")
found.write({"a": 3})
print(type(found).__name__, made.fetch(), rh.blob(name="~/kept_blob").data)
found.rm()
print(made.exists_in_system())
try:
    made.fetch()
except KeyError as exc:
    print("gone", exc)
"""


def test_an_object_is_kept_saved_loaded_and_removed(place: Place) -> None:
    place.script("blobs.py", PROGRAM)
    assert place.python("blobs.py").stdout.splitlines() == [
        "{'a': [1, 2]} True",
        "Blob {'a': 3} {'a': 3}",
        "False",
        "gone 'kept_blob'",
    ]
