from __future__ import annotations

import time

import pytest
from textual import events

from rhdesk.errors import ConnectionFailed
from rhdesk.models import Cluster, ClusterState, Record
from rhdesk_tui.screens.confirm import Confirm
from rhdesk_tui.screens.explorer import Explorer
from rhdesk_tui.screens.help import Help
from rhdesk_tui.screens.history import HistoryScreen
from rhdesk_tui.screens.invoke import InvokeScreen
from rhdesk_tui.screens.run import RunScreen
from rhdesk_tui.widgets.resource_list import ResourceList
from tests.fakes.desk import NOW, FakeDesk, make_run
from tests.tui.conftest import Opened, said, settle, text_of, until

SIZES = [(80, 24), (140, 40)]


@pytest.mark.parametrize("size", SIZES)
async def test_the_first_screen_lists_functions_and_describes_the_one_under_the_cursor(
    opened: Opened, size: tuple[int, int]
) -> None:
    async with opened(size) as pilot:
        shown = text_of(pilot)
        assert "~/vision/augment" in shown
        assert "9f3a1c205d41" in shown, "the inspector shows the version"
        assert "here ▲ up" in shown
        await pilot.press("down")
        await settle(pilot)
        assert "9f3a3b0f5d41" in text_of(pilot)


@pytest.mark.parametrize("size", SIZES)
async def test_a_digit_lists_another_kind(opened: Opened, size: tuple[int, int]) -> None:
    kinds = {"2": "~/counter", "3": "✖ failed", "4": "✖ broken", "5": "✖ died",
             "6": "digits/test", "0": "~/train"}  # fmt: skip
    async with opened(size) as pilot:
        for key, expected in kinds.items():
            await pilot.press(key)
            await settle(pilot)
            assert expected in text_of(pilot)


async def test_the_command_line_switches_the_kind(opened: Opened) -> None:
    kinds = {"runs": "Runs", "functions": "Functions", "clusters": "Clusters", "envs": "Envs",
             "keys": "Objects", "ls": "All"}  # fmt: skip
    async with opened() as pilot:
        for line, kind in kinds.items():
            await pilot.press("colon", *line, "enter")
            await settle(pilot)
            assert text_of(pilot).splitlines()[0].split()[1] == kind


async def test_the_command_line_completes_names(opened: Opened) -> None:
    async with opened() as pilot:
        await pilot.press("colon", *"call dig", "tab", "enter")
        await settle(pilot)
        assert isinstance(pilot.app.screen, InvokeScreen)
        assert pilot.app.screen.target == "~/digits"


async def test_a_command_nobody_knows_is_said_with_the_nearest(opened: Opened) -> None:
    async with opened() as pilot:
        await pilot.press("colon", *"rnus", "enter")
        await settle(pilot)
        assert "no command is called 'rnus'; did you mean runs" in said(pilot)[0]


async def test_the_filter_narrows_on_every_key_and_escape_clears_it(opened: Opened) -> None:
    async with opened() as pilot:
        await pilot.press("slash", *"vis")
        await settle(pilot)
        assert "2 matches" in text_of(pilot)
        assert "~/report" not in text_of(pilot)
        await pilot.press(*" !eval", "enter")
        await settle(pilot)
        assert "1 match" in text_of(pilot)
        await pilot.press("escape")
        await settle(pilot)
        assert "~/report" in text_of(pilot)


async def test_a_filter_nothing_fits_says_how_to_get_out(opened: Opened) -> None:
    async with opened() as pilot:
        await pilot.press("slash", *"zzz")
        await settle(pilot)
        assert "Nothing matches zzz" in text_of(pilot)
        assert "Esc  clears the filter, which hides 6 rows" in text_of(pilot)


async def test_ten_thousand_names_are_filtered_within_the_time_of_a_key(
    opened: Opened, desk: FakeDesk
) -> None:
    desk.records = {
        f"~/team{n % 97}/train_{n}": Record(
            name=f"~/team{n % 97}/train_{n}", resource_type="function", config={}, saved_at=NOW
        )
        for n in range(10_000)
    }
    async with opened() as pilot:
        explorer = pilot.app.screen
        assert isinstance(explorer, Explorer)
        took: list[float] = []
        for typed in ("t", "tr", "tra", "trn", "trn9", "trn99", "trn99 !team1"):
            before = time.perf_counter()
            explorer._set_filter(typed)
            explorer._draw_list()
            took.append(time.perf_counter() - before)
        assert len(explorer.listing._rows) > 0
        assert max(took) < 0.25, "a bar for a loaded machine; unloaded it is 0.05"
        assert explorer.shelf.count == 10_000


async def test_only_rows_on_screen_are_drawn(opened: Opened, desk: FakeDesk) -> None:
    desk.all_runs = [make_run(n) for n in range(50_000)]
    async with opened() as pilot:
        await pilot.press("3")
        await settle(pilot)
        await pilot.press("end")
        await until(pilot, lambda: "50,000 of 50,000" in text_of(pilot))
        read = sum(limit for verb, what in desk.asked if verb == "runs" for limit in [what[0]])
        assert read < 5_000, "pages, not all of them"


async def test_new_runs_do_not_move_the_cursor(opened: Opened, desk: FakeDesk) -> None:
    async with opened() as pilot:
        await pilot.press("3", "down", "down")
        await settle(pilot)
        listing = pilot.app.screen.query_one(ResourceList)
        before = listing.key
        desk.all_runs[:0] = [make_run(0, run_id=f"fresh{n}") for n in range(3)]
        await pilot.press("R")
        await settle(pilot)
        assert listing.key == before
        assert listing.cursor == 5
        assert "6 of 43" in text_of(pilot)


@pytest.mark.parametrize("size", SIZES)
async def test_an_empty_kind_teaches(
    opened: Opened, desk: FakeDesk, size: tuple[int, int]
) -> None:
    desk.records, desk.all_runs, desk.all_envs, desk.objects = {}, [], [], {}
    desk.known = []
    async with opened(size) as pilot:
        for digit in "0123456":
            await pilot.press(digit)
            await settle(pilot)
            shown = text_of(pilot)
            assert "rhdesk " in shown.split("CLI")[1].splitlines()[0]
            assert "rh." in shown.split("Python")[1].splitlines()[0]
        desk.known = [Cluster(name="here")]
        await pilot.press("5")
        await settle(pilot)
        assert "Environments live on a cluster, and here is down." in text_of(pilot)


async def test_a_broken_cluster_is_shown_with_its_reason(opened: Opened) -> None:
    async with opened((140, 40)) as pilot:
        await pilot.press("4", "down")
        await settle(pilot)
        assert "the gateway was killed by signal 9;" in text_of(pilot)


async def test_a_desk_that_fails_is_said_and_the_screen_stays(
    opened: Opened, desk: FakeDesk
) -> None:
    async with opened() as pilot:
        desk.fails["resources"] = ConnectionFailed("nothing answers on [/b]127.0.0.1:1")
        await pilot.press("R")
        await settle(pilot)
        assert "✖ nothing answers on [/b]127.0.0.1:1" in text_of(pilot)
        assert "~/vision/augment" in text_of(pilot)
        await pilot.press("escape")
        await settle(pilot)
        assert "nothing answers" in said(pilot)[0]
        assert isinstance(pilot.app.screen, Explorer)


async def test_escape_never_quits(opened: Opened) -> None:
    async with opened() as pilot:
        for _ in range(5):
            await pilot.press("escape")
        await settle(pilot)
        assert pilot.app.is_running
        assert isinstance(pilot.app.screen, Explorer)


async def test_keys_lead_to_the_screens_and_q_leads_back(opened: Opened) -> None:
    async with opened() as pilot:
        for key, screen in (("i", InvokeScreen), ("l", RunScreen), ("h", HistoryScreen),
                            ("question_mark", Help)):  # fmt: skip
            await pilot.press(key)
            await settle(pilot)
            assert isinstance(pilot.app.screen, screen), key
            await pilot.press("escape" if screen is InvokeScreen else "q")
            await settle(pilot)
            assert isinstance(pilot.app.screen, Explorer)


async def test_deleting_asks_first_and_cancel_has_the_focus(
    opened: Opened, desk: FakeDesk
) -> None:
    async with opened() as pilot:
        await pilot.press("ctrl+d")
        await settle(pilot)
        assert isinstance(pilot.app.screen, Confirm)
        assert "Delete ~/digits?" in text_of(pilot)
        await pilot.press("enter")
        await settle(pilot)
        assert "~/digits" in desk.records, "Enter pressed Cancel"
        await pilot.press("ctrl+d")
        await settle(pilot)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: "~/digits" not in desk.records)
        assert ("delete", "~/digits") in desk.asked


async def test_what_was_asked_about_is_deleted_even_if_the_cursor_moves(
    opened: Opened, desk: FakeDesk
) -> None:
    async with opened() as pilot:
        await pilot.press("ctrl+d")
        await settle(pilot)
        explorer = pilot.app.screen_stack[0]
        explorer.query_one(ResourceList).action_move(2)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: "~/digits" not in desk.records)
        assert len(desk.records) == 8


async def test_copying_shows_what_was_copied(opened: Opened) -> None:
    async with opened() as pilot:
        await pilot.press("y")
        await settle(pilot)
        for word in ("name", "as CLI", "as Python"):
            assert word in text_of(pilot)
        await pilot.press("2")
        await settle(pilot)
        assert pilot.app.clipboard == "rhdesk show '~/digits'"
        assert said(pilot)[0] == "copied as CLI: rhdesk show '~/digits'"


async def test_bringing_a_cluster_up_tells_every_step_and_goes_on_when_left(
    opened: Opened, desk: FakeDesk
) -> None:
    desk.known = [Cluster(name="here")]
    async with opened() as pilot:
        await pilot.press("4", "u")
        await settle(pilot)
        shown = text_of(pilot)
        assert "start Ray" in shown
        assert "start the gateway" in shown
        await pilot.press("escape")
        await until(pilot, lambda: desk.known[0].state is ClusterState.UP)
        assert "up here: done" in said(pilot)


@pytest.mark.parametrize("size", [(80, 24), (60, 16), (100, 30), (200, 60), (140, 40)])
async def test_every_kind_fits_every_size(opened: Opened, size: tuple[int, int]) -> None:
    async with opened((80, 24)) as pilot:
        await pilot.resize_terminal(*size)
        for digit in "1234560":
            await pilot.press(digit)
            await settle(pilot, 2)
            rows = text_of(pilot).splitlines()
            assert len(rows) == size[1]
            assert "? Help" in rows[-1]
            assert "rhdesk" in rows[0]


async def test_a_tiny_terminal_says_what_it_needs(opened: Opened) -> None:
    async with opened((80, 24)) as pilot:
        await pilot.resize_terminal(50, 10)
        await settle(pilot)
        assert "rhdesk needs 60x16 (now 50x10)" in text_of(pilot)
        await pilot.resize_terminal(80, 24)
        await settle(pilot)
        assert "~/digits" in text_of(pilot)


async def test_every_binding_has_an_id_and_no_key_a_terminal_eats(opened: Opened) -> None:
    eaten = {"ctrl+i", "ctrl+m", "ctrl+h", "ctrl+left_square_bracket", "ctrl+a", "ctrl+b",
             "ctrl+z", "ctrl+y"}  # fmt: skip
    async with opened() as pilot:
        for press in ((), ("i",), ("escape", "l"), ("escape", "h")):
            await pilot.press(*press)
            await settle(pilot)
            for active in pilot.app.screen.active_bindings.values():
                ours = active.node.__module__.startswith("rhdesk_tui")
                if ours and active.binding.description and "." in (active.binding.id or ""):
                    assert active.binding.key not in eaten
                if active.node is pilot.app.screen and ours and active.binding.action != "":
                    inherited = active.binding.action.startswith(
                        ("app.focus", "screen.", "copy_t")
                    )
                    assert active.binding.id or inherited, active.binding


async def test_help_lists_the_keys_of_this_screen(opened: Opened) -> None:
    async with opened((140, 60)) as pilot:
        await pilot.press("question_mark")
        await settle(pilot)
        shown = text_of(pilot)
        for word in ("This list", "Invoke", "History", "Moving in a list", "Behind :"):
            assert word in shown


async def test_toasts_are_kept(opened: Opened) -> None:
    async with opened() as pilot:
        pilot.app.notify("first [b]thing[/b]")
        pilot.app.notify("second thing", severity="error")
        await pilot.press("M")
        await settle(pilot)
        shown = text_of(pilot)
        assert "first [b]thing[/b]" in shown
        assert "✖ error" in shown


async def test_light_and_dark_draw_the_same_words(opened: Opened) -> None:
    async with opened() as pilot:
        dark = text_of(pilot)
        await pilot.press("T")
        await settle(pilot)
        assert text_of(pilot) == dark
        assert pilot.app.theme == "rhdesk-light"


async def test_keys_typed_ahead_of_the_command_line_are_typed_into_it(opened: Opened) -> None:
    async with opened() as pilot:
        for key in ["colon", *"logs", "space", *"0000000f"]:
            pilot.app.post_message(events.Key(key, {"colon": ":", "space": " "}.get(key, key)))
        pilot.app.post_message(events.Key("enter", "\r"))
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen))
        await settle(pilot)
        assert "0000000f" in text_of(pilot).splitlines()[0]
