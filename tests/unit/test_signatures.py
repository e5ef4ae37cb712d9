"""What a callable takes: the same from the source as from the running program, and held to it."""

from __future__ import annotations

import ast
import enum
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhdesk.code.ancestry import ancestry_of
from rhdesk.code.signatures import (
    bind,
    methods_of,
    methods_of_ast,
    of_ast,
    of_callable,
    read_arguments,
    read_text,
)
from rhdesk.code.sources import definitions
from rhdesk.errors import BadInput
from rhdesk.models import Parameter, Signature

SHAPES = '''
import abc
import dataclasses
import pathlib
import typing as t
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, InitVar, dataclass, field
from functools import lru_cache, wraps
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Literal, Optional, TypeVar, Union

T = TypeVar("T")


def same(fn):
    @wraps(fn)
    def inner(*args, **kwargs):
        return fn(*args, **kwargs)
    return inner


def nothing(): pass
def bare(a, b): return a
def defaults(a, b=1, c="x", d=None, e=-1.5, f=True, g=1e-3, h="it's"): ...
def containers(a=[1, 2], b={"k": [None, True]}, c=(1, 2), d={1: 2}, e={1, 2}, f=b"raw", g=()): ...
def numbers(a=0x10, b=1_000, c=2j, d=007.5, e=18446744073709551616): ...
def dots(a=..., b=[...]): ...
def named_only(a, *, b, c=3): ...
def placed_only(a, b=2, /): ...
def placed_and_more(a, /, b, *, c): ...
def everything(a, /, b: int, *rest: float, c: str = "c", **more: bool) -> dict[str, int]: ...
def after_stars(*args, flag=False): ...
def annotated(a: int, b: float = 0.3, c: "str" = "x", d: bool = False) -> None: ...
def unions(a: int | None, b: Optional[str] = None, c: Union[int, str, None] = 3): ...
def none_first(a: None | int = None, b: Optional[Union[int, str]] = None): ...
def quoted(a: "int | None" = None, b: "list[Path]" = [], c: Optional["Path"] = None): ...
def modules(a: pathlib.Path, b: t.List[int], c: t.Optional[t.Dict[str, Any]] = None): ...
def deep(a: dict[str, list[tuple[int, ...]]], b: Callable[[int, str], Path] | None = None): ...
def abstract(a: Sequence[float], b: Mapping[str, Any], c: Callable[..., Any] = print): ...
def tuples(a: tuple[int, str], b: tuple[()] = (), c: type[Exception] = ValueError): ...
def variables(a: T, b: list[T]) -> T: ...
def noted(a: Annotated[int, "how many"], b: Annotated[Optional[str], 1] = None): ...
def literals(a: Literal["full", "quick"], b: Literal[1, 2, "x.y"] = 1): ...
def maybe_literal(a: Optional[Literal["a", "b"]] = None, b: t.Literal["c"] | None = None): ...
def literal_and_more(a: Literal["auto"] | int = "auto"): ...
def functions(a=len, b=Path, c=nothing): ...
def gives(n: int) -> Iterator[int]:
    yield from range(n)
def holds_one_that_gives():
    def inner():
        yield 1
    return lambda: (yield)
async def waits(x: int) -> int: return x
async def waits_and_gives(n: int) -> AsyncIterator[int]:
    yield n
@same
def wrapped(a: int, b=2): """Wrapped."""
@lru_cache
def cached(a: int) -> int: return a


def google(alpha: float, epochs: int = 3, *args, verbose: bool = False, **more):
    """Train.

    On the digits.

    Args:
        alpha: Learning rate: small
            is slow.
        epochs (int, optional): How often.

            More is better.
        *args: The rest.
        verbose (Optional[Tuple[int]]): Talk.
        **more:
            Passed on.

    Returns:
        alpha: not a parameter.
    """


def numpy(alpha, beta, gamma=1, *args, **kwargs):
    """Train.

    Parameters
    ----------
    alpha : float
        Learning rate.

        Small is slow.
    beta, gamma : {"a", "b"}, optional
        Both.
    *args
        The rest.

    Other Parameters
    ----------------
    **kwargs : dict
        Passed on.

    Returns
    -------
    beta : int
        Not a parameter.
    """


def sphinx(alpha, beta, gamma=1):
    """Train.

    :param alpha: Learning rate,
        small is slow.
    :param int beta: A number.
    :type gamma: float
    :param dict(str, int) gamma: Third.
    :returns: alpha
    """


def indented_doc(a):
    """
        Odd.

        Args:
            a: Here.
        """


class Plain: pass


class Made:
    """Makes.

    Args:
        size: How large.
        name: Of the class.
    """

    def __init__(self, size: int, /, name: str = "x", *, deep: "bool" = False) -> None:
        """Make it.

        Args:
            name: Of the constructor.
            deep: Whether.
        """


class New:
    def __new__(cls, a, b=1): return super().__new__(cls)


class Loose:
    def __init__(*args, **kwargs): ...


@dataclass
class Point:
    x: int
    y: float = 0.5
    names: list[str] = field(default_factory=list)
    hidden: int = field(init=False, default=3)
    z: int = dataclasses.field(default=7, repr=False)
    shared: ClassVar[int] = 3
    seed: InitVar[int] = 1
    _: KW_ONLY
    last: Optional[int] = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Named:
    """Named.

    Attributes:
        a: The first.
    """
    a: int
    b: Literal["u", "v"] = "u"


@dataclass
class Deeper(Point):
    y: float = 1.5
    w: str = "w"


class Base(abc.ABC, Generic[T]):
    def __init__(self, a: int, b: T) -> None: ...
    def from_base(self, x: int) -> int: ...
    def again(self, x): ...


class Child(Base[int]):
    def again(self, y: int = 2): ...


class Methods(metaclass=abc.ABCMeta):
    size = 3
    class Inner: ...
    def plain(self, a: int, b=1):
        """Plain.

        Args:
            a: A number.
        """
    def no_self(*args): ...
    def only_placed(self, /, a): ...
    @classmethod
    def made(cls, a: int = 1) -> "Methods": ...
    @staticmethod
    def free(a, b): ...
    @property
    def double(self): ...
    @double.setter
    def double(self, value): ...
    @abc.abstractmethod
    def must(self, a): ...
    @lru_cache
    def cached(self, a): ...
    @same
    def wrapped(self, a): ...
    async def later(self): ...
    def each(self):
        yield 1
    if True:
        def under_if(self, a): ...
    def _private(self): ...
    def __call__(self, a): ...
'''


class Shapes:
    """One module, run and read."""

    def __init__(self, file: Path, module: ModuleType) -> None:
        self.file = file
        self.module = module
        self.nodes = {node.name: node for node in definitions(ast.parse(file.read_text()))}

    def live(self, name: str) -> Any:
        return getattr(self.module, name)


def loaded(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=["annotations as objects", "annotations as text"])
def shapes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shapes]:
    as_text = request.param == "annotations as text"
    file = tmp_path_factory.mktemp("shapes") / f"shapes_{'text' if as_text else 'objects'}.py"
    file.write_text(("from __future__ import annotations\n" if as_text else "") + SHAPES)
    yield Shapes(file, loaded(file))
    del sys.modules[file.stem]


NAMES = [node.name for node in definitions(ast.parse(SHAPES)) if node.name != "same"]


@pytest.mark.parametrize("name", NAMES)
def test_the_source_tells_the_same_as_the_running_program(shapes: Shapes, name: str) -> None:
    node = shapes.nodes[name]
    if isinstance(node, ast.ClassDef):
        ancestry = ancestry_of(shapes.file.parent, shapes.file, node)
        assert of_ast(node, ancestry) == of_callable(shapes.live(name))
        assert methods_of_ast(node, ancestry) == methods_of(shapes.live(name))
    else:
        assert of_ast(node) == of_callable(shapes.live(name))


ANNOTATIONS = st.recursive(
    st.sampled_from(
        ["int", "str", "float", "bool", "Path", "Any", "t.Any", "pathlib.Path", "None"]
    ),
    lambda inner: st.one_of(
        st.builds("list[{}]".format, inner),
        st.builds("Optional[{}]".format, inner),
        st.builds("t.Union[{}, {}]".format, inner, inner),
        st.builds("dict[str, {}]".format, inner),
        st.builds("tuple[{}, ...]".format, inner),
        st.builds("Callable[[{}], {}]".format, inner, inner),
    ),
    max_leaves=4,
)
DEFAULTS = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=8),
        st.binary(max_size=4),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.tuples(inner, inner),
    ),
    max_leaves=5,
)


@settings(deadline=None)
@given(annotation=ANNOTATIONS, default=DEFAULTS, stars=st.sampled_from(["", "*, ", "*rest, "]))
def test_it_does_for_any_annotation_and_default(
    annotation: str, default: object, stars: str
) -> None:
    text = f"def f(a: {annotation}, {stars}b: {annotation} = {default!r}) -> {annotation}: ..."
    names: dict[str, Any] = {}
    prelude = SHAPES[: SHAPES.index("T = TypeVar")]
    exec(prelude + text, names)
    assert of_ast(definitions(ast.parse(text))[0]) == of_callable(names["f"])


@settings(deadline=None)
@given(default=DEFAULTS)
def test_a_default_survives_json_or_is_told_as_python_shows_it(default: object) -> None:
    def f(a: object = default) -> None: ...

    (parameter,) = of_callable(f).parameters
    kept = msgspec.json.decode(msgspec.json.encode(parameter), type=Parameter)
    assert kept == parameter
    assert parameter.default in (default, repr(default))


def test_the_text_reads_as_inspect_prints_it(shapes: Shapes) -> None:
    assert of_callable(shapes.live("everything")).text == (
        "(a, /, b: int, *rest: float, c: str = 'c', **more: bool) -> dict[str, int]"
    )
    assert of_callable(shapes.live("placed_and_more")).text == "(a, /, b, *, c)"
    assert of_callable(shapes.live("Made")).text == (
        "(size: int, /, name: str = 'x', *, deep: bool = False)"
    )


def told(signature: Signature) -> dict[str, str]:
    return {parameter.name: parameter.doc for parameter in signature.parameters}


def test_a_docstring_tells_of_each_parameter_in_all_three_forms(shapes: Shapes) -> None:
    assert told(of_ast(shapes.nodes["google"])) == {
        "alpha": "Learning rate: small is slow.",
        "epochs": "How often. More is better.",
        "args": "The rest.",
        "verbose": "Talk.",
        "more": "Passed on.",
    }
    assert told(of_ast(shapes.nodes["numpy"])) == {
        "alpha": "Learning rate. Small is slow.",
        "beta": "Both.",
        "gamma": "Both.",
        "args": "The rest.",
        "kwargs": "Passed on.",
    }
    assert told(of_ast(shapes.nodes["sphinx"])) == {
        "alpha": "Learning rate, small is slow.",
        "beta": "A number.",
        "gamma": "Third.",
    }


def test_of_a_class_its_own_docstring_goes_before_that_of_its_constructor(shapes: Shapes) -> None:
    assert told(of_ast(shapes.nodes["Made"])) == {
        "size": "How large.",
        "name": "Of the class.",
        "deep": "Whether.",
    }


def test_choices_are_those_of_a_literal(shapes: Shapes) -> None:
    found = {p.name: p.choices for p in of_ast(shapes.nodes["literals"]).parameters}
    assert found == {"a": ("full", "quick"), "b": (1, 2, "x.y")}
    found = {p.name: p.choices for p in of_ast(shapes.nodes["maybe_literal"]).parameters}
    assert found == {"a": ("a", "b", None), "b": ("c", None)}
    assert of_ast(shapes.nodes["literal_and_more"]).parameters[0].choices == ()


class Color(enum.Enum):
    RED = "red"
    ODD = 1j


def test_choices_are_the_values_of_an_enumeration_however_it_is_annotated() -> None:
    def paint(a: Color, b: Color | None = Color.RED) -> None: ...

    def paint_objects(a, b) -> None: ...  # type: ignore[no-untyped-def]

    paint_objects.__annotations__ = {"a": Color, "b": Color | None}
    for fn in (paint, paint_objects):
        a, b = of_callable(fn).parameters
        assert a.choices == ("red", "1j")
        assert b.choices == ("red", "1j", None)
    default = of_callable(paint).parameters[1].default
    assert default == "red"
    assert of_callable(paint).text == "(a: Color, b: Color | None = Color.RED) -> None"


def test_a_signature_is_the_same_in_every_process() -> None:
    class Odd: ...

    def f(a: object = Odd(), b: Callable[[], None] = lambda: None) -> None: ...

    assert "0x" not in of_callable(f).text
    assert "0x" not in json.dumps(msgspec.to_builtins(of_callable(f)))


def test_a_default_that_json_would_change_is_told_as_text() -> None:
    class Sub(str): ...

    odd = Sub("x")

    def f(a: Any = float("nan"), b: Any = 2**70, c: Any = odd, d: Any = "\ud800") -> None: ...

    assert [p.default for p in of_callable(f).parameters] == [
        "nan",
        str(2**70),
        "'x'",
        "'\\ud800'",
    ]


def test_what_does_not_tell_what_it_takes_is_said_to_take_anything(tmp_path: Path) -> None:
    anything = "(*args, **kwargs)"
    assert of_callable(dict).text == anything
    for text in (
        "class A(Unknown): ...",
        "class A(metaclass=Meta): ...",
        "class A(x.Y[int]): ...",
    ):
        (node,) = definitions(ast.parse(text))
        assert of_ast(node).text == anything
        assert bind(of_ast(node), {"a": 1}, [2], name="A") == ([2], {"a": 1})


def test_bases_are_followed_through_the_files_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("from .base import Base as Root\n")
    (tmp_path / "pkg" / "base.py").write_text(
        "class Base:\n    def __init__(self, a, b=1): ...\n    def inc(self, by=1): ...\n"
    )
    (tmp_path / "mid.py").write_text("import pkg\nclass Mid(pkg.Root):\n    def mid(self): ...\n")
    file = tmp_path / "app.py"
    file.write_text("import mid as m\nclass App(m.Mid):\n    def run(self): ...\n")
    (node,) = definitions(ast.parse(file.read_text()))
    assert isinstance(node, ast.ClassDef)
    ancestry = ancestry_of(tmp_path, file, node)
    assert ancestry.is_whole
    assert of_ast(node, ancestry).text == "(a, b=1)"
    assert {k: v.text for k, v in methods_of_ast(node, ancestry).items()} == {
        "inc": "(by=1)",
        "mid": "()",
        "run": "()",
    }


def test_bases_that_go_in_circles_end(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text("from b import A as A\nclass B(A): ...\nclass C(C): ...\n")
    (tmp_path / "b.py").write_text("from app import A\n")
    b, c = definitions(ast.parse(file.read_text()))
    assert isinstance(b, ast.ClassDef)
    assert isinstance(c, ast.ClassDef)
    assert not ancestry_of(tmp_path, file, b).is_whole
    ancestry_of(tmp_path, file, c)


def test_what_rhdesk_brings_to_a_module_is_not_among_its_methods() -> None:
    import rhdesk as rh

    class Counter(rh.Module):
        def inc(self, by: int = 1) -> int:
            return by

    assert list(methods_of(Counter)) == ["inc"]
    assert of_callable(Counter).doc == ""


def test_reading_a_class_runs_none_of_its_code() -> None:
    class Trap:
        def __get__(self, *_: object) -> object:
            raise AssertionError

    class Trapped:
        trap = Trap()

        @lru_cache  # noqa: B019 -- nothing is cached here
        def kept(self, a: int) -> int:
            return a

    assert {k: v.text for k, v in methods_of(Trapped).items()} == {"kept": "(a: int) -> int"}


# ---------------------------------------------------------------- arguments


def signature(text: str) -> Signature:
    return of_ast(definitions(ast.parse(f"def train({text}): ..."))[0])


TRAIN = Signature(
    parameters=(
        Parameter(name="alpha", annotation="float", doc="Learning rate."),
        Parameter(name="epochs", annotation="int", required=False, default=3),
    )
)


@pytest.mark.parametrize(
    ("named", "placed", "says"),
    [
        (
            {"alhpa": 1},
            [],
            "train takes alpha, epochs=3; 'alhpa' is not one of them (did you mean alpha?)",
        ),
        ({"zzz": 1}, [], "train takes alpha, epochs=3; 'zzz' is not one of them"),
        ({}, [], "train needs alpha (float): Learning rate.; train takes alpha, epochs=3"),
        ({"alpha": 1}, [2], "train takes alpha, epochs=3; alpha was given twice"),
        ({}, [1, 2, 3], "train takes alpha, epochs=3; 3 values were given by position"),
    ],
)
def test_arguments_that_do_not_fit_are_told_apart(
    named: dict[str, Any], placed: list[Any], says: str
) -> None:
    with pytest.raises(BadInput) as told:
        bind(TRAIN, named, placed, name="train")
    assert str(told.value) == says


CALLS = st.tuples(
    st.sampled_from([
        "", "a", "a, b=2", "a, /, b", "a=1, b=2, /", "a, *rest", "*, a, b=2", "a, /, **more",
        "a, *rest, b, **more", "a=1, /, b=2, *, c=3",
    ]),
    st.lists(st.integers(5, 9), max_size=3),
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(5, 9), max_size=3),
)  # fmt: skip


@settings(deadline=None)
@given(CALLS)
def test_what_python_takes_is_taken_and_goes_where_python_puts_it(
    call: tuple[str, list[int], dict[str, int]],
) -> None:
    text, placed, named = call
    names: dict[str, Any] = {}
    exec(f"def train({text}): return locals()", names)
    try:
        expected = names["train"](*placed, **named)
    except TypeError:
        expected = None
    try:
        args, kwargs = bind(signature(text), named, placed, name="train")
    except BadInput:
        # Only what Python refuses is refused.
        assert expected is None
        return
    went = names["train"](*args, **kwargs)
    if expected is not None:
        assert went == expected
    else:
        # What goes by position only may be named at the desk, and then arrives under its name.
        assert {key: went[key] for key in named if key in went} == {
            key: value for key, value in named.items() if key in went
        }


def test_a_gap_before_a_value_by_position_is_refused() -> None:
    with pytest.raises(BadInput, match="b goes by position only, so give a too"):
        bind(signature("a=1, b=2, /"), {"b": 5}, [], name="train")


def test_text_is_read_as_the_parameter_it_goes_to_says() -> None:
    takes = signature("a: int, *rest: float, b: str = '', **more: bool")
    named, placed = read_arguments(takes, {"b": "3", "c": "yes", "rest": "no"}, ["3", "0.5", 7])
    assert placed == [3, 0.5, 7]
    assert named == {"b": "3", "c": True, "rest": False}
    with pytest.raises(BadInput, match="c is bool, like true or false; 'maybe' is not"):
        read_arguments(takes, {"c": "maybe"}, [])
    with pytest.raises(BadInput, match=r"^value 2 is float, like 0.3; 'x' is not$"):
        read_arguments(takes, {}, ["1", "x"])


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        ("int", "3", 3), ("int", "-1_000", -1000), ("float", "3", 3.0), ("float", "1e-3", 0.001),
        ("int | float", "3", 3), ("int | float", "0.5", 0.5), ("float", "inf", float("inf")),
        ("str", "3", "3"), ("str", "null", "null"), ("str", "", ""), ("str", '"a"', '"a"'),
        ("bool", "true", True), ("bool", "No", False), ("bool", "0", False),
        ("bool | int", "1", 1), ("bool | str", "maybe", "maybe"),
        ("int | None", "None", None), ("str | None", "null", None), ("int | None", "4", 4),
        ("int | str", "true", "true"), ("int | str", "4", 4),
        ("list[int]", "[1, 2]", [1, 2]), ("list[float]", "[1]", [1.0]), ("list", "[]", []),
        ("tuple[int, str]", '[1, "a"]', (1, "a")), ("set[int]", "[1, 1]", {1}),
        ("dict[str, list[int]]", '{"a": [1]}', {"a": [1]}), ("dict[int, str]", '{"1": "a"}', {1: "a"}),
        ("Mapping[str, Any]", '{"a": null}', {"a": None}), ("Sequence[Path]", '["a"]', ["a"]),
        ("list[int] | str", "abc", "abc"), ("list[str] | str", "3", "3"),
        ("list[int | str]", '[1, "a"]', [1, "a"]), ("list[Literal['a']]", '["a"]', ["a"]),
        ("Path", "2024", "2024"), ("Path | None", "a/b", "a/b"),
        ("", "3", 3), ("", "abc", "abc"), ("", "[1, {}]", [1, {}]), ("", "true", True),
        ("", "007", "007"), ("Any", '"x"', "x"), ("ndarray", "[1, 2]", [1, 2]),
        ("Literal['auto'] | int", "auto", "auto"), ("Literal['auto'] | int", "3", 3),
        ("", "[" * 5000, "[" * 5000),
    ],
)  # fmt: skip
def test_text_becomes_what_the_annotation_says(annotation: str, text: str, value: Any) -> None:
    found = read_text(Parameter(name="x", annotation=annotation), text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("annotation", "text", "says"),
    [
        ("int", "3.5", "x is int, like 3; '3.5' is not"),
        ("int | None", "three", "x is int | None, like 3; 'three' is not"),
        ("float", "", "x is float, like 0.3; '' is not"),
        ("bool", "maybe", "x is bool, like true or false; 'maybe' is not"),
        ("list[int]", "1", "x is list[int], like [3, 3]; '1' is not: Expected `array`, got `int`"),
        (
            "list[int]",
            '["a"]',
            "x is list[int], like [3, 3]; '[\"a\"]' is not: Expected `int`, got `str` - at `$[0]`",
        ),
        (
            "dict[str, int]",
            "a=1",
            "x is dict[str, int], like {\"a\": 1}; 'a=1' is not: JSON is malformed: "
            "invalid character (byte 0)",
        ),
        (
            "list[str] | int",
            "a",
            'x is list[str] | int, like ["a", "a"] or 3; \'a\' is not: JSON is malformed: '
            "invalid character (byte 0)",
        ),
        ("str", "\udc80", "x is not text in UTF-8: '\\udc80'"),
    ],
)
def test_text_that_spells_no_value_is_told_what_would(
    annotation: str, text: str, says: str
) -> None:
    with pytest.raises(BadInput) as told:
        read_text(Parameter(name="x", annotation=annotation), text)
    assert str(told.value) == says


def test_a_choice_is_taken_by_how_it_is_written() -> None:
    parameter = Parameter(name="mode", choices=("full", 2, None))
    assert [read_text(parameter, text) for text in ("full", "2", "None")] == ["full", 2, None]
    with pytest.raises(BadInput) as told:
        read_text(parameter, "ful")
    assert str(told.value) == "mode is one of full, 2, None, not 'ful'; did you mean full?"
