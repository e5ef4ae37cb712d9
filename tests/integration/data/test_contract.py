"""What holds on every system alike; the same tests for all of them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from rhdesk.desk import AsyncDesk
from rhdesk.errors import BadInput, NotFound
from rhdesk.models import Step, StepState

HOSTILE = ["a b", "-rf", "a*b", "[x]?", "~home", "naïve ☃", "semi;colon", "$HOME", "'quoted\""]


async def finished(steps: AsyncGenerator[Step]) -> str:
    """How it ended."""
    last = [step async for step in steps][-1]
    assert last.state is StepState.DONE
    return last.detail


async def names(desk: AsyncDesk, place: str) -> list[str]:
    return [each.path.rstrip("/").rpartition("/")[2] for each in await desk.list_data(place)]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "tree"
    (made / "deep" / "er").mkdir(parents=True)
    (made / "one.txt").write_bytes(b"one")
    (made / "empty").write_bytes(b"")
    (made / "deep" / "er" / "big").write_bytes(bytes(range(256)) * 9000)
    return made


async def test_what_is_copied_there_is_listed_read_and_hashed(
    desk: AsyncDesk, spot: str, tree: Path
) -> None:
    await desk.make_data_folder(spot)
    assert await finished(desk.copy_data(str(tree), f"{spot}/x")) == "3 files, 2.3 MB"
    assert sorted(await names(desk, f"{spot}/x")) == ["deep", "empty", "one.txt"]
    assert await desk.read_data(f"{spot}/x/one.txt") == b"one"
    assert await desk.read_data(f"{spot}/x/one.txt", limit=2) == b"on"
    entry = await desk.data_entry(f"{spot}/x/deep/er/big")
    assert (entry.kind, entry.size_bytes) == ("file", 256 * 9000)
    assert (await desk.data_entry(f"{spot}/x/deep")).kind == "folder"
    expected = hashlib.sha256(bytes(range(256)) * 9000).hexdigest()
    assert await desk.hash_data(f"{spot}/x/deep/er/big") == expected


async def test_it_comes_back_as_it_went(
    desk: AsyncDesk, spot: str, tree: Path, tmp_path: Path
) -> None:
    await desk.make_data_folder(spot)
    await finished(desk.copy_data(str(tree), f"{spot}/x"))
    await finished(desk.copy_data(f"{spot}/x", str(tmp_path / "back")))
    back = {f.relative_to(tmp_path / "back"): f.read_bytes() for f in files(tmp_path / "back")}
    assert back == {f.relative_to(tree): f.read_bytes() for f in files(tree)}


async def test_what_is_there_is_spared_and_what_changed_is_sent(
    desk: AsyncDesk, spot: str, tree: Path
) -> None:
    await desk.make_data_folder(spot)
    await finished(desk.copy_data(str(tree), f"{spot}/x"))
    (tree / "one.txt").write_bytes(b"two")  # as long as it was
    again = await finished(desk.copy_data(str(tree), f"{spot}/x"))
    assert again == "1 files, 0.0 MB, 2 there already"
    assert await desk.read_data(f"{spot}/x/one.txt") == b"two"


async def test_names_that_mean_something_elsewhere_are_only_names(
    desk: AsyncDesk, spot: str, tmp_path: Path
) -> None:
    source = tmp_path / "hostile"
    source.mkdir()
    for name in HOSTILE:
        (source / name).write_text(name)
    await desk.make_data_folder(spot)
    await finished(desk.copy_data(str(source), f"{spot}/x"))
    assert sorted(await names(desk, f"{spot}/x")) == sorted(HOSTILE)
    await finished(desk.copy_data(str(source / "a b"), f"{spot}/x/axxb"))
    await desk.remove_data(f"{spot}/x/a*b")
    assert sorted(await names(desk, f"{spot}/x")) == sorted({*HOSTILE, "axxb"} - {"a*b"})


async def test_a_move_leaves_nothing_behind(desk: AsyncDesk, spot: str, tree: Path) -> None:
    await desk.make_data_folder(spot)
    await finished(desk.copy_data(str(tree), f"{spot}/x"))
    await finished(desk.move_data(f"{spot}/x", f"{spot}/y"))
    assert await names(desk, spot) == ["y"]
    assert await desk.read_data(f"{spot}/y/one.txt") == b"one"
    await finished(desk.move_data(f"{spot}/y/one.txt", f"{spot}/y/empty"))
    assert await desk.read_data(f"{spot}/y/empty") == b"one"


async def test_a_folder_is_removed_only_when_that_is_said(
    desk: AsyncDesk, spot: str, tree: Path
) -> None:
    await desk.make_data_folder(spot)
    await finished(desk.copy_data(str(tree), f"{spot}/x"))
    with pytest.raises(BadInput, match="--recursive"):
        await desk.remove_data(f"{spot}/x")
    assert await desk.read_data(f"{spot}/x/one.txt") == b"one"
    await desk.remove_data(f"{spot}/x", recursive=True)
    with pytest.raises(NotFound):
        await desk.data_entry(f"{spot}/x")


async def test_what_is_not_there_is_said(desk: AsyncDesk, spot: str, tmp_path: Path) -> None:
    await desk.make_data_folder(spot)
    for ask in (desk.data_entry, desk.read_data, desk.list_data, desk.remove_data):
        with pytest.raises(NotFound, match="nothing-here"):
            await ask(f"{spot}/nothing-here")
    with pytest.raises(NotFound, match="nothing-here"):
        await finished(desk.copy_data(f"{spot}/nothing-here", str(tmp_path / "target")))
    assert not (tmp_path / "target").exists()


async def test_a_folder_does_not_go_into_itself(desk: AsyncDesk, spot: str, tree: Path) -> None:
    await desk.make_data_folder(spot)
    await finished(desk.copy_data(str(tree), f"{spot}/x"))
    for target in (f"{spot}/x", f"{spot}/x/deep/x"):
        with pytest.raises(BadInput, match="one is in the other"):
            await finished(desk.move_data(f"{spot}/x", target))
    assert await desk.read_data(f"{spot}/x/one.txt") == b"one"


def files(folder: Path) -> list[Path]:
    return [each for each in folder.rglob("*") if each.is_file()]
