"""Draws the main screens as SVG, from the same fixtures the tests use.

A picture in the README is one of these, so it cannot show what the product does not do.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tui")]
os.environ["TZ"] = "UTC"

import msgspec  # noqa: E402
from textual.pilot import Pilot  # noqa: E402
from textual.widgets import Input  # noqa: E402

from rhdesk.models import Cluster, ClusterState, SecretText, Step, StepState  # noqa: E402
from rhdesk_tui.app import DeskApp  # noqa: E402
from rhdesk_tui.widgets.load_chart import LoadChart  # noqa: E402
from tests.fakes.desk import NOW, FakeDesk  # noqa: E402
from tests.tui.house import (  # noqa: E402
    lived_in,
    train_line,
    with_a_broken_host,
    with_lab,
    with_offers,
    with_past,
    with_plan,
    with_saves,
    with_store,
    with_tables,
    with_team,
)

Drive = Callable[[Pilot[None], FakeDesk], Awaitable[None]]
SIZES = ((80, 24), (140, 40))


async def _settle(pilot: Pilot[None]) -> None:
    for _ in range(6):
        await pilot.pause(0.05)


async def explorer(pilot: Pilot[None], desk: FakeDesk) -> None:
    pass


async def filtered(pilot: Pilot[None], desk: FakeDesk) -> None:
    await pilot.press("0", "slash", *"vis!eval")


async def runs(pilot: Pilot[None], desk: FakeDesk) -> None:
    await pilot.press("3", "down", "down")


async def clusters(pilot: Pilot[None], desk: FakeDesk) -> None:
    await pilot.press("4")


async def envs(pilot: Pilot[None], desk: FakeDesk) -> None:
    await pilot.press("5", "down")


async def empty(pilot: Pilot[None], desk: FakeDesk) -> None:
    desk.records.clear()
    desk.all_runs.clear()
    desk.known = [Cluster(name="here")]
    await pilot.press("R")


async def command(pilot: Pilot[None], desk: FakeDesk) -> None:
    await pilot.press("colon", *"call di")


async def copy_menu(pilot: Pilot[None], desk: FakeDesk) -> None:
    await pilot.press("y")


async def confirm(pilot: Pilot[None], desk: FakeDesk) -> None:
    await pilot.press("ctrl+d")


async def keys(pilot: Pilot[None], desk: FakeDesk) -> None:
    await pilot.press("question_mark")


async def palette(pilot: Pilot[None], desk: FakeDesk) -> None:
    await pilot.press("ctrl+p")


async def invoke(pilot: Pilot[None], desk: FakeDesk) -> None:
    await pilot.press("i")
    await _settle(pilot)
    await pilot.press(*"scans", "tab", *"x", "tab")


async def live(pilot: Pilot[None], desk: FakeDesk) -> None:
    run = desk.all_runs[0].run_id
    await pilot.press("3", "enter")
    await _settle(pilot)
    for seq in range(60):
        desk.print_line(run, train_line(seq), "stderr" if seq % 9 == 0 else "stdout")
    await _settle(pilot)


async def paused(pilot: Pilot[None], desk: FakeDesk) -> None:
    await live(pilot, desk)
    await pilot.press("slash", *"plateau", "enter")
    await _settle(pilot)
    await pilot.press("t")
    desk.print_line(desk.all_runs[0].run_id, train_line(61))


async def failed(pilot: Pilot[None], desk: FakeDesk) -> None:
    await pilot.press("3", "down", "down", "enter")


async def done(pilot: Pilot[None], desk: FakeDesk) -> None:
    await pilot.press("3", "down", "enter")


async def cluster(pilot: Pilot[None], desk: FakeDesk) -> None:
    await pilot.press("4", "enter")
    await _settle(pilot)
    charts = list(pilot.app.screen.query(LoadChart))
    for tick in range(120):
        charts[0].add(50 + 35 * ((tick % 17) / 17) - tick % 5 * 4, "of all cores")
        charts[1].add(40 + tick / 5, "5.9 GB of 8.2 GB")


async def going_up(pilot: Pilot[None], desk: FakeDesk) -> None:
    await pilot.press("4", "u")


async def add_machine(pilot: Pilot[None], desk: FakeDesk) -> None:
    desk.aliases = ["gpubox", "lab", "bastion", "slurm-login"]
    await pilot.press("4", "n")
    await _settle(pilot)
    await pilot.press("down")


async def provision(pilot: Pilot[None], desk: FakeDesk) -> None:
    with_offers(desk)
    await _do(pilot, "provision train")
    await pilot.press("tab", *"H100:8", "tab", "backspace", "2", "ctrl+r")
    await _settle(pilot)


async def machines(pilot: Pilot[None], desk: FakeDesk) -> None:
    with_offers(desk)
    await _do(pilot, "machines")


async def up_failed(pilot: Pilot[None], desk: FakeDesk) -> None:
    with_a_broken_host(desk)
    await _do(pilot, "up gpubox")


async def watch(pilot: Pilot[None], desk: FakeDesk) -> None:
    with_saves(desk)
    await _do(pilot, "watch /home/ana/vision lab train")


async def lab(pilot: Pilot[None], desk: FakeDesk) -> None:
    with_lab(desk)
    assert isinstance(pilot.app, DeskApp)
    for _ in range(40):
        pilot.app.workplace.loads.take("lab", await desk.stats("lab"))
    await _do(pilot, "cluster lab")


async def away(pilot: Pilot[None], desk: FakeDesk) -> None:
    run = with_lab(desk)
    desk.known[-1] = msgspec.structs.replace(
        desk.known[-1], state=ClusterState.UNREACHABLE, seen_at=NOW - timedelta(minutes=2)
    )
    await _do(pilot, f"logs {run}")
    for seq in range(20):
        desk.print_line(run, train_line(seq))
    await pilot.pause(3.2)


async def history(pilot: Pilot[None], desk: FakeDesk) -> None:
    await pilot.press("h")


async def doctor(pilot: Pilot[None], desk: FakeDesk) -> None:
    await pilot.press("colon", *"doctor", "enter")


async def said(pilot: Pilot[None], desk: FakeDesk) -> None:
    pilot.app.notify("cannot reach lab: nothing answers on 10.0.3.7:41873", severity="error")
    pilot.app.notify("copied as CLI: rhdesk show ~/digits")
    await pilot.press("M")


async def _do(pilot: Pilot[None], line: str) -> None:
    assert isinstance(pilot.app, DeskApp)
    pilot.app.do(line)
    await _settle(pilot)


async def names(pilot: Pilot[None], desk: FakeDesk) -> None:
    with_store(desk)
    await pilot.press("R", "0")
    await _settle(pilot)
    await pilot.press("R")


async def diff(pilot: Pilot[None], desk: FakeDesk) -> None:
    with_past(desk)
    await _do(pilot, "history ~/digits")
    await pilot.press("d")


async def rollback(pilot: Pilot[None], desk: FakeDesk) -> None:
    with_past(desk)
    await _do(pilot, "history ~/digits")
    await pilot.press("down", "r")


async def lineage(pilot: Pilot[None], desk: FakeDesk) -> None:
    with_past(desk)
    await _do(pilot, "lineage ~/digits")


async def conflicts(pilot: Pilot[None], desk: FakeDesk) -> None:
    with_store(desk)
    await _do(pilot, "conflicts")


async def conflict(pilot: Pilot[None], desk: FakeDesk) -> None:
    await conflicts(pilot, desk)
    await pilot.press("enter")
    await _settle(pilot)
    await pilot.press("down", "space")


async def store(pilot: Pilot[None], desk: FakeDesk) -> None:
    with_store(desk)
    await _do(pilot, "store")


async def login(pilot: Pilot[None], desk: FakeDesk) -> None:
    await _do(pilot, "store")
    await pilot.press("L")


async def settings(pilot: Pilot[None], desk: FakeDesk) -> None:
    os.environ["RHDESK_KEEP_DAYS"] = "30"
    await _do(pilot, "config")
    await pilot.press("down", "down", "down")


async def secrets(pilot: Pilot[None], desk: FakeDesk) -> None:
    await desk.put_secret("openai", {"api_key": SecretText("sk-…")}, provider="openai")
    await desk.put_secret("wandb/team", {"api_key": SecretText("x")}, provider="wandb")
    pair = {"access_key": SecretText("AKIA"), "secret_key": SecretText("s")}
    await desk.put_secret("aws", pair, provider="aws")
    os.environ["HF_TOKEN"] = "hf_drawn"
    await _do(pilot, "secrets")


async def access(pilot: Pilot[None], desk: FakeDesk) -> None:
    with_team(desk)
    await _do(pilot, "access dee")
    await pilot.press("end")


async def grants(pilot: Pilot[None], desk: FakeDesk) -> None:
    with_team(desk)
    await _do(pilot, "access")
    await pilot.press("2")


async def lanes(pilot: Pilot[None], desk: FakeDesk) -> None:
    with_team(desk)
    await _do(pilot, "lanes")


async def audit(pilot: Pilot[None], desk: FakeDesk) -> None:
    with_team(desk)
    await _do(pilot, "audit")


async def folder(pilot: Pilot[None], desk: FakeDesk) -> None:
    with_plan(desk)
    await _do(pilot, "folder vision lab")


async def table(pilot: Pilot[None], desk: FakeDesk) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with_tables(desk, Path(folder))
        await _do(pilot, "table ~/flights")
        await pilot.press("!", "right", "right", "right", "right", "S")
        await _settle(pilot)
        await pilot.press(*["down"] * 4)
        await _settle(pilot)


async def table_cell(pilot: Pilot[None], desk: FakeDesk) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with_tables(desk, Path(folder))
        await _do(pilot, "table ~/flights")
        await pilot.press("f", *"== 1000", "enter")
        await _settle(pilot)
        await pilot.press("$", "left", "enter")
        await _settle(pilot)


async def table_schema(pilot: Pilot[None], desk: FakeDesk) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with_tables(desk, Path(folder))
        await _do(pilot, "table ~/flights")
        await pilot.press("@", *"50%", "enter", "right", "right", "D")
        await _settle(pilot)


async def table_sql(pilot: Pilot[None], desk: FakeDesk) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with_tables(desk, Path(folder))
        await _do(pilot, "table ~/flights")
        await pilot.press(
            ";", *"select carrier, count(*) as flights, avg(arr_delay) as late from t group by 1",
            "enter",
        )  # fmt: skip
        await _settle(pilot)


SCENES: tuple[Drive, ...] = (
    explorer, filtered, runs, clusters, envs, empty, command, copy_menu, confirm, keys, palette,
    invoke, live, paused, failed, done, cluster, going_up, add_machine, provision, machines,
    up_failed, watch, folder, lab, away, history,
    doctor, said,
    names, diff, rollback, lineage, conflicts, conflict, store, login,
    settings, secrets, access, grants, lanes, audit, table, table_cell, table_schema, table_sql,
)  # fmt: skip


async def draw(scene: Drive, size: tuple[int, int], theme: str, folder: Path) -> Path:
    desk = lived_in()
    desk.steps = [
        Step(what="start Ray", state=StepState.DONE, detail="8 cores", elapsed_s=3.1),
        Step(what="start the gateway", state=StepState.DONE, detail="127.0.0.1:41873"),
        Step(what="start env base", state=StepState.DONE, detail="pid 4120", elapsed_s=1.9),
    ]
    app = DeskApp(desk, now=lambda: NOW, theme=theme)
    async with app.run_test(size=size) as pilot:
        await _settle(pilot)
        await scene(pilot, desk)
        await _settle(pilot)
        for line in app.screen.query(Input):
            line.cursor_blink = False
        await pilot.pause()
        light = "-light" if theme.endswith("light") else ""
        path = folder / f"{scene.__name__}-{size[0]}x{size[1]}{light}.svg"
        path.write_text(app.export_screenshot(title="rhdesk"), encoding="utf-8")
    return path


async def main(only: set[str]) -> None:
    folder = ROOT / "screenshots"
    for scene in SCENES:
        if only and scene.__name__ not in only:
            continue
        for size in SIZES:
            print(await draw(scene, size, "rhdesk-dark", folder))
    for scene in (explorer, live):
        if not only or scene.__name__ in only:
            print(await draw(scene, SIZES[1], "rhdesk-light", folder))


if __name__ == "__main__":
    asyncio.run(main(set(sys.argv[1:])))
