from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot

from rhdesk.errors import BadInput
from rhdesk.models import Cluster, ClusterState, Parameter, Signature
from rhdesk_tui import fields
from rhdesk_tui.screens.invoke import InvokeScreen
from rhdesk_tui.screens.run import RunScreen
from rhdesk_tui.spellings import call_cli, call_python
from rhdesk_tui.widgets.form import Field, ValueInput
from tests.fakes.desk import FakeDesk
from tests.tui.conftest import Opened, said, settle, text_of, until
from tests.tui.test_store_screens import app_of

SIZES = [(80, 24), (140, 40)]


async def invoke(pilot: Pilot[None]) -> InvokeScreen:
    await pilot.press("i")
    await settle(pilot, 6)
    assert isinstance(pilot.app.screen, InvokeScreen)
    return pilot.app.screen


@pytest.mark.parametrize("size", SIZES)
async def test_the_form_shows_the_signature_the_docs_and_the_same_call_as_a_line(
    opened: Opened, size: tuple[int, int]
) -> None:
    async with opened(size) as pilot:
        await invoke(pilot)
        await pilot.press(*"scans")
        await settle(pilot)
        shown = text_of(pilot)
        assert "Train a classifier on the handwritten digits." in shown
        for name in ("data", "hidden", "rate", "mode", "shuffle", "seed", "tags", "**extra"):
            assert name in shown
        assert "$ rhdesk call '~/digits' data=scans" in shown


async def test_only_what_was_changed_is_sent(opened: Opened, desk: FakeDesk) -> None:
    async with opened() as pilot:
        await invoke(pilot)
        await pilot.press(*"scans", "tab", "end", "backspace", *"5", "ctrl+r")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen))
        sent = next(what for verb, what in desk.asked if verb == "submit")
        assert sent == ("~/digits", {"data": "scans", "hidden": 65}, (), "", None)


async def test_a_field_is_checked_when_it_is_left_not_while_typing(opened: Opened) -> None:
    async with opened((140, 40)) as pilot:
        await invoke(pilot)
        await pilot.press("tab", *"x")
        await settle(pilot)
        assert "is not a whole number" not in text_of(pilot).split("$")[0]
        await pilot.press("tab")
        await settle(pilot)
        assert "✖ '64x' is not a whole number, such as 3" in text_of(pilot)


async def test_a_form_with_something_wrong_is_not_sent(opened: Opened, desk: FakeDesk) -> None:
    async with opened() as pilot:
        await invoke(pilot)
        await pilot.press("ctrl+r")
        await settle(pilot)
        assert isinstance(pilot.app.screen, InvokeScreen)
        assert "✖ needs a value" in text_of(pilot)
        assert not [verb for verb, _ in desk.asked if verb == "submit"]


async def test_none_is_a_state_and_not_a_word(opened: Opened, desk: FakeDesk) -> None:
    async with opened() as pilot:
        screen = await invoke(pilot)
        seed = next(f for f in screen.query(Field) if f.parameter.name == "seed")
        line = seed.query_one(ValueInput)
        line.focus()
        await pilot.press(*"12")
        await settle(pilot)
        assert seed.value == 12
        await pilot.press("backspace", "backspace")
        await settle(pilot)
        await pilot.press("backspace")
        await settle(pilot)
        assert seed.value is None
        assert seed.is_default


async def test_copying_offers_cli_python_and_curl(opened: Opened) -> None:
    async with opened() as pilot:
        await invoke(pilot)
        await pilot.press(*"scans", "f2")
        await settle(pilot)
        shown = text_of(pilot)
        assert "as curl" in shown
        await pilot.press("2")
        await settle(pilot)
        assert pilot.app.clipboard == "rh.load('~/digits')(data='scans')"


async def test_a_module_lets_choose_the_method(opened: Opened) -> None:
    async with opened((140, 40)) as pilot:
        await pilot.press("2")
        await settle(pilot)
        await invoke(pilot)
        assert "method predict" in " ".join(text_of(pilot).split())
        await pilot.press(*"x")
        await settle(pilot)
        assert "--method predict" in text_of(pilot)


async def test_what_the_desk_refuses_is_said_and_the_form_stays(
    opened: Opened, desk: FakeDesk
) -> None:
    async with opened() as pilot:
        await invoke(pilot)
        desk.fails["submit"] = BadInput("data must be a folder, not [red]x[/red]")
        await pilot.press(*"scans", "ctrl+r")
        await settle(pilot)
        assert "✖ data must be a folder, not [red]x[/red]" in text_of(pilot)
        assert isinstance(pilot.app.screen, InvokeScreen)
        desk.fails.clear()
        await pilot.press("ctrl+r")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen))


async def test_a_target_nobody_knows_is_said(opened: Opened) -> None:
    async with opened() as pilot:
        await pilot.press("colon", *"call nope.py:f", "enter")
        await settle(pilot)
        assert "no function is called 'nope.py:f'" in said(pilot)[0]


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        ("int", "1_000", 1000), ("float", "2e-4", 2e-4), ("str", "a b", "a b"), ("str", '""', ""),
        ("list[int]", "[1, 2]", [1, 2]), ("dict[str, int]", '{"a": 1}', {"a": 1}),
        ("int | None", "7", 7), ("Optional[float]", "0.5", 0.5), ("Any", "null", None),
        ("Table", '{"x": [1]}', {"x": [1]}),
    ],
)  # fmt: skip
def test_text_is_read_as_the_annotation_says(annotation: str, text: str, value: Any) -> None:
    assert fields.read(Parameter(name="x", annotation=annotation), text) == value


@pytest.mark.parametrize(
    ("annotation", "text", "says"),
    [
        ("int", "1.5", "not a whole number"), ("float", "x", "not a number"),
        ("list[int]", "[1,", "not JSON"), ("int", "", "needs a value"), ("str", "", '""'),
    ],
)  # fmt: skip
def test_text_that_does_not_fit_is_refused_with_an_example(
    annotation: str, text: str, says: str
) -> None:
    with pytest.raises(fields.Wrong, match=says):
        fields.read(Parameter(name="x", annotation=annotation), text)


@pytest.mark.parametrize(
    ("parameter", "shape"),
    [
        (Parameter(name="x", annotation="bool"), "switch"),
        (Parameter(name="x", default=True, required=False), "switch"),
        (Parameter(name="x", default=3, required=False), "int"),
        (Parameter(name="x", choices=("a", "b"), annotation="Literal['a', 'b']"), "choice"),
        (Parameter(name="x", kind="var_positional", annotation="int"), "list"),
        (Parameter(name="x", kind="var_keyword"), "object"),
        (Parameter(name="x", annotation="int | str"), "json"),
    ],
)
def test_the_control_follows_from_the_parameter(parameter: Parameter, shape: str) -> None:
    assert fields.shape_of(parameter) == shape


def test_a_call_is_spelled_so_that_a_shell_reads_it_back() -> None:
    line = call_cli("~/f", {"s": "it's", "n": "12", "l": [1]}, args=[True], method="go", on="lab")
    assert line == (
        """rhdesk call '~/f' --method go --on lab true 's=it'"'"'s' 'n="12"' 'l=[1]'"""
    )
    assert call_python("~/f", {"a": 1}, args=["x"], method="go") == "rh.load('~/f').go('x', a=1)"


async def test_arguments_by_position_arrive_by_position(opened: Opened, desk: FakeDesk) -> None:
    desk.signatures["~/digits"] = Signature(
        parameters=(
            Parameter(name="a", kind="positional_only", annotation="int"),
            Parameter(name="rest", kind="var_positional", annotation="int", required=False),
        )
    )
    async with opened() as pilot:
        await invoke(pilot)
        await pilot.press(*"1", "tab", *"[2,3]", "ctrl+r")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen))
        sent = next(what for verb, what in desk.asked if verb == "submit")
        assert sent[2] == (1, 2, 3)


async def test_a_cluster_that_is_up_is_offered_before_one_that_is_down(
    opened: Opened, desk: FakeDesk
) -> None:
    desk.known = [Cluster(name="here"), Cluster(name="gpubox", state=ClusterState.UP)]
    async with opened() as pilot:
        app_of(pilot).show_invoke("~/digits")
        await until(pilot, lambda: "on gpubox" in text_of(pilot))


async def test_a_key_that_comes_before_the_form_is_on_the_screen_is_answered(
    opened: Opened,
) -> None:
    """A field knows its value from the beginning: a fast typist's key finds no control yet."""
    signature = Signature(
        parameters=(
            Parameter(name="alpha", default=0.5, annotation="float", required=False),
            Parameter(name="on", default=True, annotation="bool", required=False),
            Parameter(name="how", default="a", choices=("a", "b"), required=False),
        )
    )
    async with opened():
        for parameter in signature.parameters:
            field = Field(parameter)
            assert field.is_default
            assert field.check()
            assert field.value == parameter.default
