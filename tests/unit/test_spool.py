"""Printed text becomes numbered lines on disk, whole, whatever pieces it is written in."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from rhdesk_servlet.spool import MAX_LINE, STDERR, STDOUT, LineCutter, SpoolReader, SpoolWriter


def read_all(reader: SpoolReader) -> list[str]:
    texts: list[str] = []
    while found := reader.read():
        texts += [line.text for line in found]
    return texts


@given(st.lists(st.text(st.characters(exclude_characters="\r", codec="utf-8"), max_size=20)))
def test_lines_do_not_depend_on_how_text_was_written(pieces: list[str]) -> None:
    cutter = LineCutter()
    lines = [line for piece in pieces for line in cutter.cut(piece)] + cutter.rest()
    whole = "".join(pieces)
    assert lines == (whole[:-1] if whole.endswith("\n") else whole).split("\n") or whole == ""


def test_a_progress_bar_shows_how_it_ended() -> None:
    cutter = LineCutter()
    lines = [line for n in range(100) for line in cutter.cut(f"\r{n}%")]
    lines += cutter.cut("\r100%\n")
    assert lines[-1] == "100%"
    assert len(lines) < 10


def test_a_very_long_line_goes_on_in_the_next() -> None:
    cutter = LineCutter()
    lines = cutter.cut("x" * (2 * MAX_LINE + 5) + "\n")
    assert [len(line) for line in lines] == [MAX_LINE, MAX_LINE, 5]


def test_what_is_written_is_read_in_order_while_it_grows(tmp_path: Path) -> None:
    file = tmp_path / "spool"
    reader = SpoolReader(file)
    assert reader.read() == []
    writer = SpoolWriter(file)
    writer.write(STDOUT, ["one", "two"])
    assert read_all(reader) == ["one", "two"]
    other = SpoolWriter(file)
    other.write(STDERR, ["three \u00e9 \x00"])
    writer.write(STDOUT, ["four"])
    assert read_all(reader) == ["three \u00e9 \x00", "four"]
    assert reader.next_seq == 4
    for each in (reader, writer, other):
        each.close()


def test_a_line_longer_than_any_read_is_read_whole(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path / "spool")
    wide = "\x01" * MAX_LINE
    writer.write(STDOUT, [wide, "next"])
    reader = SpoolReader(tmp_path / "spool")
    assert read_all(reader) == [wide, "next"]
    assert reader.next_seq == 2
    reader.close()
    writer.close()


def test_a_line_cut_by_a_kill_keeps_what_was_written_and_spoils_no_other(tmp_path: Path) -> None:
    file = tmp_path / "spool"
    for cut in range(1, 60):
        writer = SpoolWriter(file)
        writer.write(STDOUT, ["whole", "a\u0001b and the rest"])
        writer.close()
        file.write_bytes(file.read_bytes()[:-cut])
        after = SpoolWriter(file)
        after.write(STDERR, ["from another", "writer"])
        after.close()
        reader = SpoolReader(file)
        texts = read_all(reader)
        assert reader.next_seq == len(texts)
        assert texts[-2:] == ["from another", "writer"]
        first, second = [*texts[:-2], "", ""][:2]
        assert "whole".startswith(first)
        assert "a\x01b and the rest".startswith(second)
        assert first == "whole" or cut > 40
        reader.close()
        file.unlink()


def test_a_line_half_written_waits_for_its_end(tmp_path: Path) -> None:
    file = tmp_path / "spool"
    writer = SpoolWriter(file)
    writer.write(STDOUT, ["whole", "cut"])
    data = file.read_bytes()
    file.write_bytes(data[:-4])
    reader = SpoolReader(file)
    assert read_all(reader) == ["whole"]
    file.write_bytes(data)
    assert read_all(reader) == ["cut"]
    reader.close()
    writer.close()
