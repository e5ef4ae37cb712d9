"""Which files of a folder travel, and the rule that says so.

``.gitignore`` and ``.rhdeskignore`` in any folder, as git reads them (git-scm.com/docs/gitignore):
the last rule that fits decides, deeper files after those above, ``.rhdeskignore`` after its
neighbour; inside a folder that is ignored nothing is asked any more. What looks like a secret, or
is larger than a limit, is held back, unless a ``!`` rule of a ``.rhdeskignore`` wants it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from rhdesk.errors import BadInput

FILES: Final = (".gitignore", ".rhdeskignore")
_BUILT_IN: Final = (
    ".git/",
    "__pycache__/",
    "*.py[co]",
    ".venv/",
    "node_modules/",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    ".ipynb_checkpoints/",
    ".DS_Store",
    "*.swp",
)
_SECRET_NAMES: Final = re.compile(
    r"""(?ix) ^( \.env(\.(?!example$|sample$|template$).*)? | \.netrc | \.pypirc | \.npmrc | \.pgpass
    | \.git-credentials | credentials(\.json)? | client_secret.*\.json | .*service[-_]account.*\.json
    | id_(rsa|dsa|ecdsa|ed25519)(_sk)? | .*\.(pem|key|p12|pfx|jks|keystore|kdbx|ppk)
    | kubeconfig | \.dockercfg | secrets?\.(ya?ml|json|toml) | \.vault-token )$"""
)
_MARKS: Final = (
    (b"PRIVATE KEY-----", re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"), "a private key"),
    (b"AKIA", re.compile(rb"\bAKIA[0-9A-Z]{16}\b"), "an AWS key"),
    (b"ghp_", re.compile(rb"\bghp_[0-9A-Za-z]{36}\b"), "a GitHub token"),
    (b"hf_", re.compile(rb"\bhf_[0-9A-Za-z]{34}\b"), "a Hugging Face token"),
    (b"sk-ant-", re.compile(rb"\bsk-ant-[0-9A-Za-z_-]{32}"), "an Anthropic key"),
)
_NOT_PLAIN: Final = re.compile(r"[/*?\[\\]")
_ENDING: Final = re.compile(r"\*\.(\w+)")
_FOLDER_MARK: Final = "ps_d"
"""Group of pathspec's expressions for the slash behind what was matched."""
_SHORTENED: Final = {
    ".": re.compile(rf"^(?:.+/)?[^/]+(?:(?P<{_FOLDER_MARK}>/)|$)"),
    rf"(?P<{_FOLDER_MARK}>/)": re.compile(rf"^(?:.+/)?[^/]+(?P<{_FOLDER_MARK}>/)"),
}
"""What pathspec makes of ``*`` and ``*/`` no longer says which part it is about."""
_LOOKED_INTO: Final = 256 * 1024


class Rule(msgspec.Struct, frozen=True):
    """One line of an ignore file."""

    text: str
    file: str
    """The file and line it is in, relative to the root: ``data/.gitignore:3``."""
    folder: str
    """What its paths are relative to: ``data/``, or empty."""
    ignores: bool
    pattern: re.Pattern[str]

    @property
    def is_of_rhdesk(self) -> bool:
        return FILES[1] in self.file


def rules_of(lines: Sequence[str], *, file: str, folder: str) -> list[Rule]:
    """The rules of an ignore file; a line that cannot be read is none, as for git."""
    found: list[Rule] = []
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        try:
            read = GitIgnoreSpecPattern(_as_bytes(text))
        except ValueError:
            continue
        if read.include is None or read.regex is None:
            continue
        pattern = _SHORTENED.get(read.regex.pattern, read.regex)
        place = _as_bytes(folder)
        found.append(Rule(text.strip(), f"{file}:{number}", place, read.include, pattern))
    return found


class Rules:
    """The rules that hold in one folder: those above, and its own.

    Args:
        rules: By default those that hold in every folder.

    Most rules are a name or an ending; of thousands of files they are looked up, not tried.
    """

    def __init__(self, rules: Sequence[Rule] | None = None) -> None:
        self._rules: list[Rule] = list(BUILT_IN if rules is None else rules)
        self._by_name: dict[str, list[int]] = {}
        self._by_ending: dict[str, list[int]] = {}
        self._rest: list[int] = []
        for number, rule in enumerate(self._rules):
            text = _as_bytes(rule.text).removeprefix("!").removesuffix("/")
            if not _NOT_PLAIN.search(text):
                self._by_name.setdefault(text, []).append(number)
            elif (ending := _ENDING.fullmatch(text)) is not None:
                self._by_ending.setdefault(ending[1], []).append(number)
            else:
                self._rest.append(number)

        texts = "\0".join(f"{rule.folder}\n{rule.text}" for rule in self._rules)
        self.key = sha256(texts.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        """The same for the same rules."""

    def inside(self, root: Path, folder: str) -> Rules:
        """Those that hold inside *folder* of *root*, ``data/`` or empty.

        Raises:
            BadInput: An ignore file there cannot be read: what it holds back must not travel.
        """
        own = list(_own(root, folder))
        return Rules([*self._rules, *own]) if own else self

    def decide(self, path: str, *, is_folder: bool) -> Rule | None:
        """The rule that decides about *path*; None where none fits, and it travels."""
        path = _as_bytes(path)
        name = path.rpartition("/")[2]
        named = self._by_name.get(name, ())
        ended = self._by_ending.get(name.rpartition(".")[2], ())
        numbers: list[int] = [*named, *ended, *self._rest]
        for number in sorted(numbers, reverse=True):
            rule = self._rules[number]
            if _fits(rule, path, is_folder=is_folder):
                return rule
        return None


def _fits(rule: Rule, path: str, *, is_folder: bool) -> bool:
    """Whether a rule is about the path itself, and not only about a folder above it.

    Of those above was asked before; here it would undo what a later ``!`` said of them.
    """
    if not path.startswith(rule.folder):
        return False
    asked = path[len(rule.folder) :] + ("/" if is_folder else "")
    fits = rule.pattern.match(asked)
    if fits is None:
        return False
    if _FOLDER_MARK not in rule.pattern.groupindex:  # a/**: what is inside, not the folder itself
        return fits.end() < len(asked)
    return fits.end() == len(asked) if is_folder else fits[_FOLDER_MARK] is None


def _as_bytes(text: str) -> str:
    """A character for each byte, as git compares: ``?`` is one byte of an umlaut, not the two."""
    return text if text.isascii() else os.fsencode(text).decode("latin-1")


def looks_secret(name: str) -> str:
    """Why a file's name says it is a secret; empty when it does not."""
    return "its name" if _SECRET_NAMES.match(name) else ""


def holds_secret(data: bytes) -> str:
    """What a file's content says that must not travel unasked; empty for nothing."""
    head = data[:_LOOKED_INTO]
    if b"\0" in head:  # no text
        return ""
    for mark, whole, what in _MARKS:
        if mark in head and whole.search(head):
            return what
    return ""


def _own(root: Path, folder: str) -> Iterator[Rule]:
    for name in FILES:
        try:
            text = (root / folder / name).read_text("utf-8", "surrogateescape")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as exc:
            raise BadInput(
                f"{folder}{name} cannot be read ({exc.strerror}), so what it holds back is not known"
            ) from exc
        yield from rules_of(text.splitlines(), file=f"{folder}{name}", folder=folder)


BUILT_IN: Final[list[Rule]] = [
    msgspec.structs.replace(rule, file="built in")
    for rule in rules_of(_BUILT_IN, file="built in", folder="")
]
