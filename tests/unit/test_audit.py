"""The audit: whatever is done to it afterwards is noticed, and what it cannot hold does not happen."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rhdesk.audit import Audit
from rhdesk.chain import chained, flaws
from rhdesk.errors import DamagedStore, StoreUnwritable
from rhdesk.models import Audited, AuditHead

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)


def written(count: int) -> list[Audited]:
    rows: list[Audited] = []
    head = AuditHead(number=0, hash="0" * 64)
    for number in range(count):
        row = Audited(
            number=0, at=NOW + timedelta(seconds=number), who="ada", action="secret.read",
            about=f"s{number % 7}",
        )  # fmt: skip
        rows.append(chained(head, row))
        head = AuditHead(number=rows[-1].number, hash=rows[-1].hash)
    return rows


def test_an_untouched_chain_has_no_flaw() -> None:
    rows = written(100)
    heads = [AuditHead(number=row.number, hash=row.hash) for row in rows[::10]]
    assert list(flaws(rows, heads)) == []
    assert list(flaws([])) == []


def harmed(rows: list[Audited], by: random.Random) -> list[Audited]:
    """The same rows, tampered with in one way."""
    from msgspec.structs import replace

    rows, at = list(rows), by.randrange(len(rows))
    match by.randrange(8):
        case 0:
            del rows[at]
        case 1:
            del rows[at : at + by.randrange(1, 9)]
        case 2:
            field = by.choice(["who", "action", "about", "note"])
            rows[at] = replace(rows[at], **{field: "mallory"})
        case 3:
            rows[at] = replace(rows[at], at=rows[at].at + timedelta(microseconds=1))
        case 4:
            other = (at + 1 + by.randrange(len(rows) - 1)) % len(rows)
            rows[at], rows[other] = rows[other], rows[at]
        case 5:
            rows.insert(at, rows[by.randrange(len(rows))])
        case 6:
            del rows[at:]
        case _:
            # Somebody who knows how: every hash after the change is made anew.
            rows[at] = replace(rows[at], who="mallory")
            head = AuditHead(number=at, hash=rows[at - 1].hash if at else "0" * 64)
            for place in range(at, len(rows)):
                rows[place] = chained(head, rows[place])
                head = AuditHead(number=rows[place].number, hash=rows[place].hash)
    return rows


def test_ten_thousand_ways_to_tamper_are_all_found() -> None:
    rows = written(60)
    head = AuditHead(number=rows[-1].number, hash=rows[-1].hash)
    by = random.Random(4711)
    missed = [n for n in range(10_000) if not list(flaws(harmed(rows, by), [head]))]
    assert missed == []


def test_without_a_head_kept_elsewhere_a_cut_end_is_not_seen() -> None:
    """The control: it is the head that tells, not luck."""
    rows = written(20)
    assert list(flaws(rows[:10])) == []
    assert list(flaws(rows[:10], [AuditHead(number=20, hash=rows[-1].hash)])) == [
        "row 20 was seen before, and the audit ends at row 10"
    ]


# ---------------------------------------------------------------- the file


def test_rows_are_appended_by_several_processes_without_a_gap(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from rhdesk.audit import Audit\n"
        "audit = Audit(Path(sys.argv[1]), who=sys.argv[2])\n"
        "for n in range(50): audit.append('secret.read', f's{n}')\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    running = [subprocess.Popen([*command, who]) for who in ("a", "b", "c")]
    assert [process.wait() for process in running] == [0, 0, 0]
    audit = Audit(tmp_path)
    assert [row.number for row in audit.rows()] == list(range(1, 151))
    assert {row.who for row in audit.rows()} == {"a", "b", "c"}
    assert audit.examine() == []
    assert audit.file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda lines: lines[:3], "ends at row 3"),
        (lambda lines: [*lines[:2], *lines[3:]], "after row 2 comes row 4"),
        (lambda lines: [*lines[:2], lines[2].replace("ada", "bob"), *lines[3:]], "row 3 is not"),
        (lambda lines: [*lines[:2], "nonsense", *lines[3:]], "line 3"),
        (lambda lines: [], "ends at row 0"),
    ],
)
def test_what_was_done_to_the_file_is_told(
    tmp_path: Path, harm: Callable[[list[str]], list[str]], told: str
) -> None:
    audit = Audit(tmp_path, who="ada")
    for number in range(6):
        audit.append("secret.read", f"s{number}")
    assert audit.examine() == []
    lines = harm(audit.file.read_text().splitlines())
    audit.file.write_text("".join(f"{line}\n" for line in lines))
    assert told in " ".join(finding.what for finding in audit.examine())


def test_nothing_is_appended_to_a_file_that_was_cut_off(tmp_path: Path) -> None:
    audit = Audit(tmp_path)
    audit.append("a", "x")
    audit.append("a", "y")
    lines = audit.file.read_bytes().splitlines(keepends=True)
    audit.file.write_bytes(lines[0])
    with pytest.raises(DamagedStore, match="had 2"):
        audit.append("a", "z")
    audit.file.write_bytes(b"")
    with pytest.raises(DamagedStore, match="is empty"):
        audit.append("a", "z")
    assert audit.file.read_bytes() == b""


def test_a_line_that_a_killed_writer_began_is_cut_off(tmp_path: Path) -> None:
    audit = Audit(tmp_path)
    audit.append("a", "x")
    with audit.file.open("ab") as opened:
        opened.write(b'{"number": 2, "at": "2026')
    assert [row.about for row in audit.rows()] == ["x"]
    audit.append("a", "y")
    assert [row.about for row in audit.rows()] == ["x", "y"]
    assert audit.examine() == []


def test_what_cannot_be_written_down_is_refused_and_nothing_is_half_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = Audit(tmp_path)
    audit.append("a", "x")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnwritable, match="was not done"):
        audit.append("secret.read", "y")
    monkeypatch.undo()
    assert [row.about for row in audit.rows()] == ["x"]
    audit.append("a", "z")
    assert audit.examine() == []


def test_a_stranger_can_read_it(tmp_path: Path) -> None:
    audit = Audit(tmp_path, who="ada", now=lambda: NOW)
    audit.append("secret.read", "openai", "for run 17")
    (line,) = audit.file.read_text().splitlines()
    assert json.loads(line)["about"] == "openai"
    assert json.loads(line)["at"] == "2026-10-01T12:00:00Z"
