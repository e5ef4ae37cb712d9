"""A form made from a signature: one row per parameter, checked when it is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Input, Label, Select, Static, Switch

from rhdesk.foreign import clean
from rhdesk.models import Parameter, Signature
from rhdesk_tui import fields
from rhdesk_tui.widgets.choices import NumberChoice
from rhdesk_tui.wording import STYLES, as_json


class ValueInput(Input):
    """A line in which None is a state of its own: Backspace in an empty line makes it None."""

    is_none: reactive[bool] = reactive(False)

    def __init__(self, value: str, *, may_be_none: bool, is_none: bool, blank: str) -> None:
        super().__init__(value, compact=True, select_on_focus=False)
        self._may_be_none = may_be_none
        self.set_reactive(ValueInput.is_none, is_none and may_be_none)
        self.placeholder = "None" if self.is_none else blank
        self._blank = blank

    def watch_is_none(self, is_none: bool) -> None:
        self.placeholder = "None" if is_none else self._blank

    def action_delete_left(self) -> None:
        if not self.value and self._may_be_none:
            self.is_none = not self.is_none
            self.post_message(self.Changed(self, self.value))
        else:
            super().action_delete_left()

    def on_input_changed(self, event: Input.Changed) -> None:
        if self.value:
            self.is_none = False


class Field(Vertical):
    """One parameter: its name, a control, its type or what is wrong, and what it is for."""

    DEFAULT_CSS = """
    Field { height: auto; margin: 0 0 0 0;
        & > .control { height: 1; }
        & .name { width: 16; text-style: bold; text-wrap: nowrap; text-overflow: ellipsis; }
        & ValueInput { width: 1fr; max-width: 48; background: $field; padding: 0 1; }
        & ValueInput:focus { background: $row; }
        & Select { width: 1fr; max-width: 48; }
        & Switch { border: none; padding: 0; height: 1; width: 8; background: $field; }
        & Switch:focus { background: $row; border: none; }
        & Switch > .switch--slider { color: $quiet; background: $edge; }
        & Switch.-on > .switch--slider { color: $success; background: $edge; }
        & .word { width: 6; padding: 0 1; }
        & .note { width: 1fr; padding: 0 0 0 2; color: $quiet;
                  text-wrap: nowrap; text-overflow: ellipsis; }
        & .doc { padding: 0 0 0 16; color: $quiet; display: none; height: auto; }
        &.-documented .doc { display: block; }
        &.-wrong .note { color: $error; }
    }
    """

    @dataclass
    class Edited(Message):
        """The value changed."""

    def __init__(self, parameter: Parameter) -> None:
        super().__init__()
        self.parameter = parameter
        self.shape = fields.shape_of(parameter)
        self.wrong = ""
        """What is wrong with the value; empty when nothing is, or nobody has looked yet."""
        # Made here: a key may come before any of them is on the screen.
        self._control = self._made()
        self._word = Label("", classes="word")
        self._note = Label(Content(""), classes="note")

    def compose(self) -> ComposeResult:
        parameter = self.parameter
        star = {"var_positional": "*", "var_keyword": "**"}.get(parameter.kind, "")
        with Horizontal(classes="control"):
            required = parameter.required and not star
            name = Content.assemble((star + clean(parameter.name), "bold"),
                                    (" •" if required else "", STYLES["accent"]))  # fmt: skip
            yield Label(name, classes="name")
            yield self._control
            if self.shape == "switch":
                yield self._word
            yield self._note
        if parameter.doc:
            yield Static(Content(clean(parameter.doc)), classes="doc")

    def _made(self) -> Switch | NumberChoice | ValueInput:
        parameter = self.parameter
        default = parameter.default
        if self.shape == "switch":
            return Switch(bool(default) if not parameter.required else False, animate=False)
        if self.shape == "choice":
            known = default in parameter.choices and not parameter.required
            return NumberChoice(
                [_choice(choice) for choice in parameter.choices],
                chosen=parameter.choices.index(default) if known else None,
                blank="None" if fields.may_be_none(parameter) else "choose",
            )
        blank = {"list": "[]", "object": "{}"}.get(self.shape, "")
        none = not blank and fields.may_be_none(parameter)
        return ValueInput(
            fields.written(parameter), may_be_none=none,
            is_none=none and (parameter.required or default is None), blank=blank,
        )  # fmt: skip

    def on_mount(self) -> None:
        self.set_class(bool(self.parameter.doc), "-documented")
        self._say()

    @property
    def value(self) -> Any:
        """What would be sent.

        Raises:
            fields.Wrong: It cannot be.
        """
        control = self._control
        if isinstance(control, Switch):
            return control.value
        if isinstance(control, NumberChoice):
            if control.at is not None:
                return self.parameter.choices[control.at]
            if fields.may_be_none(self.parameter):
                return None
            raise fields.Wrong("choose one")
        if control.is_none and not control.value:
            return None
        return fields.read(self.parameter, control.value)

    @property
    def is_default(self) -> bool:
        """Whether it was left as it was; such a parameter is not sent."""
        parameter, control = self.parameter, self._control
        if isinstance(control, ValueInput) and self.shape in {"list", "object"}:
            return not control.value.strip()
        if parameter.required:
            return False
        if isinstance(control, Switch):
            return bool(parameter.default) == control.value
        if isinstance(control, NumberChoice):
            now = parameter.choices[control.at] if control.at is not None else None
            return bool(now == parameter.default)
        if control.is_none and not control.value:
            return parameter.default is None
        if parameter.default is None:
            return False
        return control.value == fields.written(parameter)

    def check(self) -> bool:
        """Look at the value, and say beside it what is wrong."""
        self.wrong = ""
        if not self.is_default:
            try:
                _ = self.value
            except fields.Wrong as exc:
                self.wrong = str(exc)
        self.set_class(bool(self.wrong), "-wrong")
        self._say()
        return not self.wrong

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        self.check()

    @on(Input.Changed)
    @on(Switch.Changed)
    @on(Select.Changed)
    def _changed(self, event: Message) -> None:
        event.stop()
        if self.wrong:
            self.check()
        self._say()
        self.post_message(self.Edited())

    def _say(self) -> None:
        note = f"✖ {self.wrong}" if self.wrong else fields.type_note(self.parameter)
        control = self._control
        is_line = isinstance(control, ValueInput) and self.shape not in {"list", "object"}
        if is_line and not self.wrong and control.value and fields.may_be_none(self.parameter):
            note += "   ⌫ None"
        self._note.update(Content(clean(note)))
        if isinstance(control, Switch):
            self._word.update("yes" if control.value else "no")


class Form(VerticalScroll, can_focus=False):
    """All parameters of one signature."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", "Next field", id="invoke.next", show=False),
        Binding("up", "app.focus_previous", "Field before", id="invoke.previous", show=False),
    ]
    DEFAULT_CSS = """
    Form { height: 1fr; scrollbar-size-vertical: 1; }
    """

    def __init__(self, signature: Signature, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.signature = signature

    def compose(self) -> ComposeResult:
        for parameter in self.signature.parameters:
            yield Field(parameter)
        if not self.signature.parameters:
            yield Static(Content.styled("It takes no arguments.", STYLES["quiet"]))

    def on_mount(self) -> None:
        self.focus_first()

    def focus_first(self) -> None:
        """The first field that needs a value, else the first one."""
        found = list(self.query(Field))
        needy = [field for field in found if field.parameter.required] or found
        if needy:
            for child in needy[0].query("ValueInput, Select, Switch"):
                child.focus()
                return

    def check(self) -> bool:
        """Check every field; the first wrong one gets the focus."""
        wrong = [field for field in self.query(Field) if not field.check()]
        if wrong:
            for child in wrong[0].query("ValueInput, Select, Switch"):
                child.focus()
                break
        return not wrong

    def call(self) -> tuple[list[Any], dict[str, Any]]:
        """Positional and named arguments, without what was left at its default.

        Raises:
            fields.Wrong: A field cannot be read.
        """
        args: list[Any] = []
        named: dict[str, Any] = {}
        positional = [f for f in self.query(Field)
                      if f.parameter.kind in {"positional_only", "var_positional"}]  # fmt: skip
        last = max((n for n, f in enumerate(positional) if not f.is_default), default=-1)
        spread = any(f.shape == "list" and not f.is_default for f in positional)
        for field in self.query(Field):
            kind = field.parameter.kind
            if field.shape == "list":
                args += [] if field.is_default else field.value
            elif field.shape == "object":
                named |= {} if field.is_default else field.value
            elif kind == "positional_only":
                if positional.index(field) <= last:
                    args.append(field.value)
            elif spread and kind == "positional_or_keyword":
                args.append(field.value)
            elif not field.is_default:
                named[field.parameter.name] = field.value
        return args, named


def _choice(value: Any) -> str:
    return value if isinstance(value, str) else as_json(value)
