"""Text that wants to be obeyed, through every widget that shows text from elsewhere."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from textual.pilot import Pilot

from rhdesk.errors import BadInput
from rhdesk.models import (
    Check,
    Cluster,
    ClusterState,
    Conflict,
    DaemonState,
    Diff,
    Edge,
    Env,
    Failure,
    FieldChange,
    FileChange,
    LogLine,
    Loop,
    Parameter,
    Record,
    Rejected,
    RunStatus,
    Signature,
    Step,
    StepState,
    StoreState,
    Version,
)
from rhdesk_tui.app import DeskApp
from rhdesk_tui.table_view import source_of
from rhdesk_tui.widgets.log_window import LogWindow
from tests.fakes.desk import NOW, FakeDesk, Written, make_run
from tests.tui.conftest import Opened, said, settle, text_of, until

HOSTILE = (
    "\x1b[2J\x1b]52;c;" + base64.b64encode(b"stolen").decode() + "\x07\x1b]0;title\x1b\\"
    "[IMPORTANT] [/b] [bold red]x[/] [@click=app.exit]y[/] \\[ \x00\x08\x9b31m\x90q\x9c\u202etxt"
    + b"\xff\xfe".decode("utf-8", "replace")
)
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
SIZES = [(80, 24), (140, 40)]


def hostile_house() -> FakeDesk:
    desk = FakeDesk()
    h = HOSTILE
    desk.known = [Cluster(name="here", state=ClusterState.UP, address=h, envs=(h,)),
                  Cluster(name=h, state=ClusterState.BROKEN, why=h)]  # fmt: skip
    config: dict[str, Any] = {h: h, "deep": {h: [h, {"x": h}]}, "doc": h}
    desk.records = {
        h: Record(name=h, resource_type="function", config=config, version=h, saved_at=NOW),
        "~/m": Record(name="~/m", resource_type=h, config={}, saved_at=NOW),
    }
    desk.past = {h: [Version(name=h, version=h, saved_at=NOW, author=h, summary=h, config=config),
                     Version(name=h, version="b", saved_at=NOW)]}  # fmt: skip
    failure = Failure(kind=h, message=h, traceback=f"Traceback\n  File {h}\n{h}")
    desk.all_runs = [
        make_run(0, h, run_id="bad00001", status=RunStatus.FAILED, failure=failure, cluster=h,
                 env=h, inputs_text=h, origin={h: h}),
        make_run(1, h, run_id="bad00002", result_text=h),
    ]  # fmt: skip
    desk.logs = {run.run_id: Written(200, lambda seq: f"{seq} {h}") for run in desk.all_runs}
    desk.logs["bad00001"].printed.append(("stderr", h + "x" * 1_000_000))
    desk.returns["bad00002"] = [{h: h, "n": 1}, {h: [h], "n": 2}]
    desk.all_envs = [Env(name=h, cluster="here", lock=h, python=h, state=h, why=h, packages=(h,))]
    desk.objects = {h: h}
    desk.signatures = {h: Signature(
        text=h, doc=h,
        parameters=(Parameter(name=h, annotation=h, doc=h),
                    Parameter(name="c", choices=(h, "b"), required=False, default=h),
                    Parameter(name="d", annotation="str", default=h, required=False)),
    )}  # fmt: skip
    desk.method_names = {h: [h, "other"]}
    desk.steps = [Step(what=h, state=StepState.DONE, detail=h),
                  Step(what="b", state=StepState.FAILED, detail=h)]  # fmt: skip
    desk.checks = [Check(what=h, ok=False, evidence=h, remedy=h)]
    hostile_store(desk)
    return desk


def hostile_store(desk: FakeDesk) -> None:
    """A store of others, whose every word wants to be obeyed."""
    h = HOSTILE
    desk.store = StoreState(url=h, user=h, folder=h, status="offline", error=h, last_contact=NOW)
    desk.records["/lab/x"] = Record(name="/lab/x", resource_type=h, config={h: h}, sync=h)
    desk.odds = [
        Conflict(conflict_id="c1", name=h, why="fields", fields=(f"/{h}",), base={h: h},
                 ours={h: [h]}, theirs={h: h}, author=h, at=NOW),
        Conflict(conflict_id="c2", name=h, why=h, theirs={h: h}, author=h, at=NOW),
    ]  # fmt: skip
    desk.refused = [Rejected(op_id="r1", name=h, reason=h, fields={h: h}, at=NOW)]
    field = FieldChange(pointer=f"/{h}", kind="changed", before=h, after={h: h})
    code = FileChange(path=h, kind="changed", lines=(f"-{h}", f"+{h}", f" {h}", h))
    desk.diffs["x"] = desk.diffs["~/m@b"] = Diff(before=h, after=h, fields=(field,), files=(code,))
    desk.touched = [
        Edge(run_id="bad00001", kind="wrote", name=h, version=h, at=NOW, function=h, source=h),
        Edge(run_id="bad00001", kind="read", name=h, version=h, at=NOW, function=h, source=h),
    ]
    desk.background = DaemonState(
        status="running", pid=1, started_at=NOW,
        loops=(Loop(name=h, told=h, error=h, ran_at=NOW),),
    )  # fmt: skip
    desk.said_by_daemon = [h]


@pytest.fixture
def desk() -> FakeDesk:
    return hostile_house()


def check(pilot: Pilot[None]) -> str:
    """Nothing raw in any row, nor in what goes to the terminal beside Textual's own sequences."""
    shown = text_of(pilot)
    assert RAW.search(shown) is None
    assert "stolen" not in shown
    update = pilot.app.screen._compositor.render_update(full=True)
    assert update is not None
    console = pilot.app.console
    file, console.file = console.file, io.StringIO()
    try:
        console.print(update)
        sent = console.file.getvalue()
    finally:
        console.file = file
    assert "\x1b]52" not in sent
    assert "\x1b]0;" not in sent
    assert "\x1b[2J" not in sent
    return shown


@pytest.mark.parametrize("size", SIZES)
async def test_lists_and_inspector(opened: Opened, size: tuple[int, int]) -> None:
    async with opened(size) as pilot:
        for digit in "134560":
            await pilot.press(digit)
            await settle(pilot)
            assert "[IMPORTANT]" in check(pilot), f"{digit}: brackets are shown, not read"
            await pilot.press("down", "enter")
            await settle(pilot)
            check(pilot)
            await pilot.press("escape", "escape")


@pytest.mark.parametrize(
    "keys",
    [
        ("i",), ("h",), ("y",), ("ctrl+d",), ("question_mark",), ("ctrl+p",),
        ("3", "enter"), ("3", "enter", "w"), ("3", "enter", "y"), ("3", "enter", "r"),
        ("3", "down", "enter"), ("3", "enter", "slash", "b", "enter"), ("3", "ctrl+d"),
        ("4", "enter"), ("4", "down", "enter"), ("4", "u"), ("4", "down", "D"), ("5", "ctrl+d"),
        ("6", "ctrl+d"), ("slash", "[", "/", "b"), ("colon", "c", "a", "l", "l", "space", "["),
        ("colon", *"conflicts", "enter"), ("colon", *"conflicts", "enter", "enter"),
        ("colon", *"conflicts", "enter", "enter", "a"), ("colon", *"conflicts", "enter", "y"),
        ("colon", *"conflicts", "enter", "down", "enter"),
        ("colon", *"conflicts", "enter", "end", "c"),
        ("colon", *"conflicts", "enter", "enter", "c"),
        ("colon", *"conflicts", "enter", "end", "ctrl+d"),
        ("colon", *"diff x", "enter"), ("colon", *"diff x", "enter", "n", "n"),
        ("colon", *"rollback ~/m@b", "enter"), ("colon", *"lineage x", "enter"),
        ("colon", *"dependents x", "enter"), ("colon", *"store", "enter"),
        ("colon", *"store", "enter", "O"), ("colon", *"sync", "enter"),
        ("colon", *"doctor", "enter"), ("colon", *"search IMP", "enter"), ("M",),
    ],
    ids=lambda keys: "-".join(keys)[:30],
)  # fmt: skip
async def test_every_screen(opened: Opened, keys: tuple[str, ...]) -> None:
    async with opened((110, 36)) as pilot:
        pilot.app.notify(HOSTILE, severity="error")
        await pilot.press(*keys)
        await settle(pilot, 6)
        check(pilot)


async def test_errors_in_banners_and_messages(opened: Opened, desk: FakeDesk) -> None:
    async with opened() as pilot:
        desk.fails["resources"] = BadInput(HOSTILE)
        await pilot.press("R")
        await settle(pilot)
        check(pilot)
        assert "\x1b" not in said(pilot)[0]
        await pilot.press("M")
        await settle(pilot)
        assert "[IMPORTANT]" in check(pilot)


@pytest.mark.parametrize(
    "keys",
    [
        (), ("right",), ("enter",), ("right", "enter"), ("right", "right", "enter"), ("v",), ("D",),
        ("y",), ("!", "right"), ("-",), ("f",), ("f", *"== 5", "enter"), ("p",), ("p", "E"),
    ],
    ids=lambda keys: "-".join(keys)[:30] or "rows",
)  # fmt: skip
async def test_a_table(
    opened: Opened, desk: FakeDesk, tmp_path: Path, keys: tuple[str, ...]
) -> None:
    """Hostile in its name, its columns' names, its cells, and inside what is nested."""
    h = HOSTILE
    columns = {h: [h, "", None], "deep": [{h: [h]}, None, {h: []}], h + "2": pa.array([h] * 3)}
    pq.write_table(pa.table(columns), tmp_path / "h.parquet")
    config = {"path": str(tmp_path / "h.parquet"), "system": "file"}
    name = f"~/{h}"
    desk.records[name] = Record(name=name, resource_type="table", config=config, saved_at=NOW)
    async with opened((110, 36)) as pilot:
        assert isinstance(pilot.app, DeskApp)
        pilot.app.show_table(source_of(desk.records[name]))
        await until(pilot, lambda: "row 1 of 3" in text_of(pilot))
        assert "[IMPORTANT]" in check(pilot), "brackets are shown, not read"
        await pilot.press(*keys)
        await settle(pilot, 10)
        check(pilot)


async def test_a_line_of_a_megabyte_is_not_kept_whole() -> None:
    line = LogLine("r", 0, "stdout", 0.0, "x" * 1_000_000)

    async def fetch(start: int, stop: int) -> list[LogLine]:
        return [line][start:stop]

    window = LogWindow(fetch)
    window.total = 1
    await window.load(0, 1)
    shown = window.line(0)
    assert shown is not None
    assert len(shown.text) + shown.cut == 1_000_000
    assert len(shown.text) < 20_000
