"""Package specs, as people write them, read into what a cluster can install.

    numpy==2.1, pip:numpy           a requirement, as pip spells it
    reqs:./, ./, requirements.txt   the lines of a requirements file, or of a pyproject.toml
    local:./lib, pip:./lib          a project installed from its folder
    git+https://host/U/R@rev,
    https://github.com/U/R          a git repository

The spellings are those of Runhouse v0.0.12. Files are read, nothing else is touched: whether a
package exists is for the cluster to find out.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar, cast
from urllib.parse import unquote, urlsplit

import msgspec

from rhdesk.errors import BadRequirement

T = TypeVar("T")

_HINT: Final = "write numpy==2.1, reqs:./, local:./lib or git+https://host/owner/repo@rev"

_VERSION: Final = r"(?:===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9_.*+!\-]+"
_NAMED: Final = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._\-]*[A-Za-z0-9])?)\s*"
    r"(?P<extras>\[[A-Za-z0-9._\-,\s]*\])?\s*"
    rf"(?:@\s*(?P<url>\S+)|\(?(?P<versions>{_VERSION}(?:\s*,\s*{_VERSION})*)?\)?)"
    r"(?P<marker>\s*;.+)?",
)
_METHOD: Final = re.compile(r"(?P<method>[a-z]+):(?!//)(?P<target>.*)", re.DOTALL)
_GITHUB: Final = re.compile(
    r"https://github\.com/(?P<repo>[^/\s]+/[^/\s@#]+?)(?:\.git)?/?"
    r"(?:(?:@|/tree/)(?P<rev>[^\s#]+?))?/?(?P<fragment>#\S+)?"
)
_SCP_LIKE: Final = re.compile(r"(?P<user>[\w.\-]+)@(?P<host>[\w.\-]+):(?P<path>[^/\s]\S*)")
_WITH_EXTRAS: Final = re.compile(r"(?P<path>.+?)(?P<extras>\[[^\[\]/]*\])?", re.DOTALL)
_ARCHIVES: Final = (".whl", ".tar.gz", ".zip")

_FILE_OPTIONS: Final = {
    "-i": "--index-url",
    "--index-url": "--index-url",
    "--extra-index-url": "--extra-index-url",
    "-f": "--find-links",
    "--find-links": "--find-links",
    "--no-binary": "--no-binary",
    "--only-binary": "--only-binary",
}
"""Options of pip that say where packages come from, and the spelling that travels."""
_BARE_OPTIONS: Final = {"--pre", "--no-index"}
_IGNORED_OPTIONS: Final = {
    "--require-hashes",
    "--trusted-host",
    "--prefer-binary",
    "--upgrade",
    "-U",
}
"""Hashes that are given are checked anyway; the others belong to pip's own network code."""


class Requirements(msgspec.Struct, frozen=True):
    """What an environment shall hold, as a cluster takes it. No path in it is relative."""

    lines: tuple[str, ...] = ()
    """As pip reads them: PEP 508 requirements, ``--hash=`` kept, and options that say where
    packages come from (``--extra-index-url https://...``). ``constraint:numpy<2`` is a bound on
    what something else asks for."""
    folders: tuple[str, ...] = ()
    """Absolute paths of projects or built archives to install, ``[extras]`` after them."""


def parse(specs: Sequence[str], *, folder: Path, working_dir: Path | None = None) -> Requirements:
    """Read *specs* in the order given; what is said twice is kept once.

    Args:
        specs: Any of the spellings above.
        folder: What relative paths are relative to.
        working_dir: A folder that is sent along; the requirements.txt in it counts too.

    Raises:
        BadRequirement: A spec cannot be read, or names a file that is not there.
    """
    reading = _Reading()
    for spec in specs:
        reading.spec(spec.strip(), folder.absolute())
    if working_dir is not None and (working_dir / "requirements.txt").is_file():
        reading.file(working_dir.absolute() / "requirements.txt")
    return reading.found()


class _Reading:
    """Collects what the specs name; dicts because they keep order and drop what is doubled."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}
        self._folders: dict[str, None] = {}
        self._files: set[Path] = set()

    def found(self) -> Requirements:
        return Requirements(tuple(self._lines), tuple(self._folders))

    def spec(self, spec: str, folder: Path) -> None:
        if not spec:
            raise BadRequirement(f"an empty text is not a requirement; {_HINT}")
        if "\0" in spec or "\n" in spec:
            raise BadRequirement(f"{spec!r} is more than one line; give one requirement per item")
        if spec.startswith("-"):
            return self._file_line(spec, folder, where=repr(spec))
        match = _METHOD.fullmatch(spec)
        if match is None or _SCP_LIKE.fullmatch(spec):
            return self._bare(spec, folder)
        method, target = match["method"], match["target"].strip()
        if not target:
            raise BadRequirement(f"{spec!r} names nothing after {method}:; {_HINT}")
        match method:
            case "pip":
                return self._pip(target, folder)
            case "reqs":
                return self._requirements_at(target, folder)
            case "local":
                return self._project(target, folder)
            case "constraint":
                return _keep(self._lines, f"constraint:{_requirement(target)}")
            case "conda":
                raise BadRequirement(
                    f"{spec!r}: conda packages are not supported; use the package's name on the "
                    f"index ({target.split('=')[0]!r}), or install it in setup_cmds"
                )
            case "rh":
                raise BadRequirement(
                    f"{spec!r}: packages cannot be loaded by a saved name yet; {_HINT}"
                )
            case _:
                raise BadRequirement(f"{spec!r}: {method}: is not a way to install; {_HINT}")

    def file(self, path: Path) -> None:
        """Read a requirements file, and those it names; each once."""
        if path.resolve() in self._files:
            return
        self._files.add(path.resolve())
        for number, line in _joined(_text(path)):
            self._file_line(line, path.parent, where=f"{path.name}:{number}")

    def _bare(self, spec: str, folder: Path) -> None:
        if "://" not in spec and _names_a_path(spec, folder):
            return self._requirements_at(spec, folder)
        return self._pip(spec, folder)

    def _pip(self, spec: str, folder: Path) -> None:
        spec, options = _split_options(spec)
        for option in options:
            self._file_line(option, folder, where=repr(spec))
        if "://" not in spec and _looks_like_a_path(spec):
            return self._project(spec, folder)
        return _keep(self._lines, _requirement(spec))

    def _requirements_at(self, spec: str, folder: Path) -> None:
        path = _path(spec, folder)
        if path.is_file() and path.name == "pyproject.toml":
            return self._pyproject(path)
        if path.is_file() and path.name.endswith(_ARCHIVES):
            return self._project(spec, folder)
        if path.is_file():
            return self.file(path)
        if not path.is_dir():
            raise BadRequirement(f"{spec!r}: there is no file or folder {str(path)!r}")
        if (path / "requirements.txt").is_file():
            return self.file(path / "requirements.txt")
        if (path / "pyproject.toml").is_file():
            return self._pyproject(path / "pyproject.toml")
        raise BadRequirement(
            f"{spec!r}: {str(path)!r} has neither requirements.txt nor pyproject.toml; "
            "to send its files and install nothing, give it as working_dir"
        )

    def _pyproject(self, path: Path) -> None:
        try:
            project: Any = tomllib.loads(_text(path)).get("project", {})
        except tomllib.TOMLDecodeError as exc:
            raise BadRequirement(f"{str(path)!r} is not TOML: {exc}") from exc
        if not isinstance(project, dict):
            raise BadRequirement(f"{str(path)!r}: [project] is not a table")
        table = cast("dict[str, Any]", project)
        if "dependencies" not in table and "dependencies" in table.get("dynamic", ()):
            raise BadRequirement(
                f"{str(path)!r} computes its dependencies when it is built; "
                f"install the project itself: local:{path.parent}"
            )
        for line in table.get("dependencies", ()):
            _keep(self._lines, _requirement(str(line)))

    def _project(self, spec: str, folder: Path) -> None:
        match = _WITH_EXTRAS.fullmatch(spec)
        assert match is not None  # the pattern takes any text that is not empty
        path = _path(match["path"], folder)
        extras = match["extras"] or ""
        if path.is_file() and path.name.endswith(_ARCHIVES):
            return _keep(self._folders, f"{path}{extras}")
        if not path.exists():
            raise BadRequirement(f"{spec!r}: there is no folder {str(path)!r}")
        if not any((path / name).is_file() for name in ("pyproject.toml", "setup.py")):
            raise BadRequirement(
                f"{spec!r}: {str(path)!r} is not a project (no pyproject.toml, no setup.py); "
                f"for its requirements write reqs:{match['path']}, to send its files give it as "
                "working_dir"
            )
        return _keep(self._folders, f"{path}{extras}")

    def _file_line(self, line: str, folder: Path, *, where: str) -> None:
        """One line of a requirements file; options included."""
        if not line.startswith("-"):
            bare = line.split(" --", 1)[0].strip()
            if "://" not in bare and _looks_like_a_path(bare):
                return self._project(bare, folder)
            return _keep(self._lines, _requirement(line, where=where))
        option, value = (*re.split(r"\s*=\s*|\s+", line, maxsplit=1), "")[:2]
        if option in _BARE_OPTIONS:
            return _keep(self._lines, option)
        if option in _IGNORED_OPTIONS:
            return None
        if not value:
            raise BadRequirement(f"{where}: {option} needs a value, or is not known")
        match option:
            case "-r" | "--requirement":
                return self.file(_path(value, folder))
            case "-c" | "--constraint":
                for number, text in _joined(_text(_path(value, folder))):
                    bound = _requirement(text, where=f"{value}:{number}")
                    _keep(self._lines, f"constraint:{bound}")
                return None
            case "-e" | "--editable":
                # Installed as a copy: a cluster does not edit its sources.
                return self._bare_or_project(value, folder)
            case "-f" | "--find-links" if "://" not in value:
                return _keep(self._lines, f"--find-links {_path(value, folder)}")
            case _ if option in _FILE_OPTIONS:
                _check_index(value, where)
                return _keep(self._lines, f"{_FILE_OPTIONS[option]} {value}")
            case _:
                known = ", ".join(
                    sorted({*_FILE_OPTIONS.values(), *_BARE_OPTIONS, "-r", "-c", "-e"})
                )
                raise BadRequirement(f"{where}: {option} is not known here; known are {known}")

    def _bare_or_project(self, value: str, folder: Path) -> None:
        if "://" in value:
            return _keep(self._lines, _requirement(value))
        return self._project(value, folder)


def _keep(where: dict[T, None], item: T) -> None:
    where.setdefault(item)


def _requirement(text: str, *, where: str = "") -> str:
    """*text* as one PEP 508 line, hashes kept.

    Raises:
        BadRequirement: It is not one, or carries a password.
    """
    spec, _, hashes = text.partition(" --hash")
    spec = spec.strip()
    tail = f" --hash{hashes}" if hashes else ""
    at = f"{where}: " if where else ""
    github = _GITHUB.fullmatch(spec)
    if github is not None and not spec.endswith(_ARCHIVES):
        rev = f"@{github['rev']}" if github["rev"] else ""
        return f"git+https://github.com/{github['repo']}{rev}{github['fragment'] or ''}"
    ssh = _SCP_LIKE.fullmatch(spec)
    if ssh is not None:
        return f"git+ssh://{ssh['user']}@{ssh['host']}/{ssh['path']}"
    named = _NAMED.fullmatch(spec)
    url = named["url"] if named is not None else (spec if "://" in spec else None)
    if url is not None:
        _check_url(url, at)
        return spec + tail
    if named is not None:
        return spec + tail
    if re.fullmatch(r"[A-Za-z0-9._\-]+\s*=\s*[^=].*", spec):
        raise BadRequirement(
            f"{at}{text!r} is not a requirement; did you mean {spec.replace('=', '==', 1)!r}?"
        )
    raise BadRequirement(f"{at}{text!r} is not a requirement; {_HINT}")


def _check_url(url: str, at: str) -> None:
    parts = urlsplit(url)
    shown = url.replace(parts.netloc, parts.netloc.rpartition("@")[2], 1)
    schemes = {"git+https", "git+ssh", "git+file", "git+http", "https", "http", "file"}
    if parts.scheme not in schemes:
        raise BadRequirement(
            f"{at}{shown!r}: {parts.scheme}:// is not an address packages come from; {_HINT}"
        )
    if parts.password or (
        parts.username and "ssh" not in parts.scheme and parts.username != "git"
    ):
        raise BadRequirement(
            f"{at}{shown!r} was given with a password in it, which would be kept in the record; "
            "use git's credential helper, a .netrc, or git+ssh://"
        )
    if parts.scheme in {"https", "http", "file"} and not unquote(parts.path).endswith(_ARCHIVES):
        raise BadRequirement(
            f"{at}{shown!r} is not a wheel or an archive; for a repository write git+{shown}"
        )


def _check_index(url: str, where: str) -> None:
    password = urlsplit(url).password or ""
    if password and not password.startswith("${"):
        raise BadRequirement(
            f"{where}: the index was given with a password in it, which would be kept in the "
            "record; write https://user:${INDEX_TOKEN}@host/simple and set INDEX_TOKEN on the "
            "cluster, or use a .netrc"
        )


def _split_options(spec: str) -> tuple[str, list[str]]:
    """``torch --index-url URL`` as the requirement and its options; hashes stay with it."""
    head, *rest = re.split(r"\s+(?=--?[a-z])", spec)
    options: list[str] = []
    for part in rest:
        if part.startswith("--hash"):
            head = f"{head} {part}"
        else:
            options.append(part)
    return head, options


def _names_a_path(spec: str, folder: Path) -> bool:
    """Whether a bare spec means a path: it is spelled like one, or is one that says what it needs.

    A folder that merely shares its name with a package does not hide the package.
    """
    if _looks_like_a_path(spec):
        return True
    path = _path(spec, folder)
    return path.is_file() or any(
        (path / name).is_file() for name in ("requirements.txt", "pyproject.toml")
    )


def _looks_like_a_path(spec: str) -> bool:
    name = spec.split(";", 1)[0].split("@", 1)[0]
    return spec.startswith((".", "/", "~")) or "/" in name or spec.endswith((".txt", *_ARCHIVES))


def _path(text: str, folder: Path) -> Path:
    try:
        return Path(os.path.abspath(folder / Path(text).expanduser()))
    except RuntimeError as exc:
        raise BadRequirement(f"{text!r}: {exc}") from exc


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise BadRequirement(
            f"{str(path)!r} is not text: {exc.reason} at byte {exc.start}"
        ) from exc
    except OSError as exc:
        raise BadRequirement(f"{str(path)!r} cannot be read: {exc.strerror}") from exc


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """The lines that say something, continuations joined, comments gone, with 1-based numbers."""
    held = ""
    start = 0
    for number, raw in enumerate(text.splitlines(), 1):
        start = start or number
        line = re.sub(r"(^|\s)#.*$", "", raw).rstrip()
        if line.endswith("\\"):
            held += line[:-1] + " "
            continue
        line = " ".join((held + line).split())
        if line:
            yield start, line
        held, start = "", 0
    if held.strip():
        yield start, " ".join(held.split())
