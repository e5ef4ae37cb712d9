"""`make demo`'s program: the whole road on real scans, and what it leaves behind."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from tests.conftest import Place

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_the_demo_walks_the_road_and_leaves_a_name_that_can_be_called(place: Place) -> None:
    shown = place.python("-m", "rhdesk.demo", timeout_s=240).stdout
    assert [f"epoch={n}/5" in shown for n in range(1, 6)] == [True] * 5
    rows = re.findall(r"^ +\S+ +(0\.\d{4}) +\d+\.\d\d +#+", shown, re.MULTILINE)
    assert len(rows) == 8
    assert max(map(float, rows)) > 0.9
    assert f"accuracy {max(rows)}, as in the sweep" in shown
    assert "created" in shown
    assert re.search(r"succeeded +train +160 lines", shown)

    saved = json.loads(place.rhdesk("show", "~/digits", "--json").stdout)
    config = saved["data"]["record"]["config"]
    assert list(config["code"]["files"]) == ["digits.py"]
    assert config["env"]["reqs"] == ["scikit-learn", "numpy"]

    (hint,) = re.findall(r"^ +rhdesk (call .*)$", shown, re.MULTILINE)
    assert '"accuracy":0.9' in place.rhdesk(*shlex.split(hint)).stdout


def test_this_python_has_no_scikit_learn(place: Place) -> None:
    assert place.python("-c", "import sklearn", check=False).returncode == 1
