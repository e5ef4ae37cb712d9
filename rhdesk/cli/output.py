"""How commands speak: results on stdout, everything else on stderr; or one JSON document."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final

import msgspec

from rhdesk.errors import RhdeskError, RunFailed, SetupFailed
from rhdesk.foreign import clean, clean_block
from rhdesk.models import LogLine, Run, RunStatus, Step, StepState

_COLOURS: Final = {"red": 31, "green": 32, "yellow": 33, "dim": 2, "bold": 1}
_MARKS: Final = {
    RunStatus.SUBMITTED: ("…", "dim"),
    RunStatus.RUNNING: ("▶", "yellow"),
    RunStatus.SUCCEEDED: ("✓", "green"),
    RunStatus.FAILED: ("✗", "red"),
    RunStatus.CANCELLED: ("■", "dim"),
    RunStatus.LOST: ("?", "red"),
}


def print_data(data: Any) -> None:
    """The whole answer, as ``{"ok": true, "data": ...}``."""
    _write(msgspec.json.encode({"ok": True, "data": data}).decode())


def print_event(kind: str, data: Any) -> None:
    """One line of a stream, at once; the last is of kind ``end``, also when it is a fault."""
    _write(msgspec.json.encode({"kind": kind, "data": data}).decode())
    sys.stdout.flush()


def print_end(data: Any) -> None:
    _write(msgspec.json.encode({"kind": "end", "ok": True, "data": data}).decode())


def print_error(error: RhdeskError, *, as_json: bool) -> None:
    """What went wrong, for a program or for a person.

    It may quote what was typed, a file's name or another's words: a terminal gets none of it raw.
    """
    if as_json:
        print_fault(error.code, str(error), error.exit_code, error.facts())
        return
    if isinstance(error, RunFailed) and error.remote_traceback:
        sys.stderr.write(clean_block(error.remote_traceback.rstrip()) + "\n")
    if isinstance(error, SetupFailed) and error.output:
        sys.stderr.write(clean_block(error.output.rstrip()) + "\n")
    sys.stderr.write(f"{paint('rhdesk:', 'red', to=sys.stderr)} {clean_block(str(error))}\n")


def print_fault(code: str, message: str, exit_code: int, facts: dict[str, Any]) -> None:
    error = {"code": code, "message": message, "exit_code": exit_code, **facts}
    _write(msgspec.json.encode({"kind": "end", "ok": False, "error": error}).decode())


def print_line(line: LogLine) -> None:
    """A log line on the stream it was printed to."""
    out = sys.stdout if line.stream == "stdout" else sys.stderr
    out.write(line.text + "\n")
    out.flush()


def print_value(value: Any) -> None:
    """A result: text as it is, the rest as JSON a person can read.

    A program made it, perhaps somebody else's: a terminal gets it without what it would obey.
    """
    if value is None:
        return  # as in a shell: what returns nothing prints nothing
    if isinstance(value, str):
        print_text(value)
    elif isinstance(value, dict) and set(value) == {"type", "repr"}:
        print_text(str(value["repr"]))
    else:
        encoded = msgspec.json.encode(value)
        text = msgspec.json.format(encoded).decode() if len(encoded) > 100 else encoded.decode()
        print_text(text)


def print_text(text: str) -> None:
    """Text of others, safe to show."""
    _write(clean_block(text))


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns, each as wide as it needs; the last is cut to the terminal."""
    table = [[str(cell) for cell in row] for row in rows]
    everything = " ".join(chain.from_iterable(table))
    if clean(everything) != everything:  # asked once: a listing may have 10,000 rows
        table = [[clean(cell) for cell in row] for row in table]
    widths = [max(len(cell) for cell in column) for column in zip(head, *table, strict=True)]
    room = _width()
    _write(paint(_columns(head, widths, room), "dim"))
    _write("\n".join(_columns(row, widths, room) for row in table))


def print_step(step: Step) -> None:
    """How a long action goes; progress is shown only where a person watches."""
    watched = sys.stderr.isatty()
    if step.state is StepState.PROGRESS or step.state is StepState.STARTED:
        if watched:
            text = f"  {step.what} {step.detail}"[: _width() - 1]
            sys.stderr.write(f"\r\x1b[K{paint(text, 'dim', to=sys.stderr)}")
            sys.stderr.flush()
        return
    mark = "✓" if step.state is StepState.DONE else "✗"
    colour = "green" if step.state is StepState.DONE else "red"
    clear = "\r\x1b[K" if watched else ""
    took = f"  {step.elapsed_s:.1f} s" if step.elapsed_s >= 0.05 else ""
    detail = f"  {step.detail}" if step.detail else ""
    sys.stderr.write(f"{clear}{paint(mark, colour, to=sys.stderr)} {step.what}{detail}{took}\n")


def note(text: str) -> None:
    """Something beside the result; it may quote what was typed."""
    sys.stderr.write(clean_block(text) + "\n")


def run_row(run: Run) -> list[str]:
    mark, _ = _MARKS[run.status]
    return [
        run.run_id[-10:],
        f"{mark} {run.status}",
        run.function + ("" if run.method == "call" else f".{run.method}"),
        f"{run.cluster} {run.node}".rstrip(),
        run.env,
        ago(run.submitted_at),
        lasted(run),
        str(run.lines),
        run.result_text or (run.failure.message.splitlines() or [""])[0]
        if run.failure
        else run.result_text,
    ]


def ago(at: datetime | None, now: datetime | None = None) -> str:
    """How long ago, in one unit; a long listing asks the clock once and passes *now*."""
    if at is None:
        return "-"
    seconds = max(0.0, ((now or datetime.now(UTC)) - at).total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit} ago"
    return f"{int(seconds)}s ago"


def lasted(run: Run) -> str:
    if run.started_at is None and run.ended_at is None:
        return "-"
    start = run.started_at or run.submitted_at
    seconds = ((run.ended_at or datetime.now(UTC)) - start).total_seconds()
    return f"{seconds:.1f}s" if seconds < 100 else f"{seconds / 60:.0f}m"


def paint(text: str, colour: str, *, to: Any = None) -> str:
    """Coloured where a person watches and has not asked for none."""
    to = to or sys.stdout
    if not to.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def _columns(row: Sequence[str], widths: Sequence[int], room: int) -> str:
    line = "  ".join(map(str.ljust, row, widths)).rstrip()
    return line if len(line) <= room else line[: room - 1] + "…"


def _width() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError):
        return 1000


def _write(text: str) -> None:
    if text:
        sys.stdout.write(text + "\n")
