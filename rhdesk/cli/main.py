"""``rhdesk``: finds the command, runs it, and says what went wrong in the way that was asked for."""

from __future__ import annotations

import errno
import io
import os
import sys
from importlib import import_module
from keyword import iskeyword
from typing import TYPE_CHECKING

import click

from rhdesk.cli.verbs import VERBS
from rhdesk.errors import BadInput, RhdeskError, SetupFailed, StoreUnwritable
from rhdesk.foreign import clean, clean_block

if TYPE_CHECKING:
    from collections.abc import Sequence

_USAGE = 2
_INTERRUPTED = 130
_CRASHED = 70


class _Lazy(click.Group):
    """A group whose commands are imported when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        module = import_module(f"rhdesk.cli.{verb.module}")
        function = cmd_name.replace("-", "_")
        command: click.Command = getattr(
            module, f"{function}_" if iskeyword(function) else function
        )
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as exc:
            import difflib  # deferred: only for the hint

            near = difflib.get_close_matches(args[0], VERBS, 2)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"{exc.message}{hint}", ctx) from None

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Here, because click would end the process with 1.
            _stop_writing()
            raise click.exceptions.Exit(0) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        headings = dict.fromkeys(verb.heading for verb in VERBS.values())
        for heading in headings:
            rows = [(name, verb.help) for name, verb in VERBS.items() if verb.heading == heading]
            with formatter.section(heading):
                formatter.write_dl(rows)


@click.command(
    cls=_Lazy,
    invoke_without_command=True,
    epilog="Without a command, opens the terminal desk. Every command takes --json. "
    "What a command ends with: rhdesk exit-codes.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="rhdesk", message="%(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """A local-first desk for functions, machines and their record."""
    if ctx.invoked_subcommand is None:
        _open_terminal_desk()


def main(args: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its exit code."""
    typed = list(sys.argv[1:] if args is None else args)
    _accept_every_character()
    try:
        _refuse_bytes(typed)
        code = cli.main(typed, prog_name="rhdesk", standalone_mode=False) or 0
        sys.stdout.flush()
    except click.exceptions.Exit as exc:
        code = exc.exit_code
    except click.ClickException as exc:
        code = _usage(exc, typed)
    except RhdeskError as exc:
        code = _failed(exc, typed)
    except (KeyboardInterrupt, click.Abort):
        code = _interrupted(typed)
    except BrokenPipeError:
        _stop_writing()
        code = 0
    except OSError as exc:
        code = _unwritten(exc, typed)
    except Exception as exc:  # noqa: BLE001 - the outermost edge; written down in full
        code = _crashed(exc, typed)
    sys.exit(int(code))


def _open_terminal_desk() -> None:
    try:
        from rhdesk_tui.main import main as terminal_desk
    except ModuleNotFoundError as exc:
        if exc.name not in {"textual", "rich", "rhdesk_tui"}:
            raise
        raise SetupFailed(
            'the terminal desk needs Textual: pip install "rhdesk[tui]"; the commands work without'
        ) from exc
    terminal_desk()


def _unwritten(error: OSError, typed: Sequence[str]) -> int:
    """A full disk under the output; the stores say so themselves, with the folder."""
    if error.errno != errno.ENOSPC:
        return _crashed(error, typed)
    _stop_writing()
    return _failed(StoreUnwritable(f"the output cannot be written: {error.strerror}"), ())


def _stop_writing() -> None:
    """Whoever read the output has seen enough; Python must not complain while it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _accept_every_character() -> None:
    """A terminal that cannot show a character gets its number, and the command goes on."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _refuse_bytes(typed: Sequence[str]) -> None:
    """Neither the record nor JSON can hold what is not text; here it can still be pointed at.

    Raises:
        BadInput: A word is not UTF-8.
    """
    for word in typed:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise BadInput(f"{word!a} is not text in UTF-8") from None


def _asks_for_json(typed: Sequence[str]) -> bool:
    """Whether the answer is to be JSON; what follows ``--`` is somebody else's."""
    end = typed.index("--") if "--" in typed else len(typed)
    return "--json" in typed[:end]


def _usage(error: click.ClickException, typed: Sequence[str]) -> int:
    hint = ""
    said = clean(error.format_message())  # it quotes what was typed
    if isinstance(error, click.NoSuchOption) and typed[0] in {"call", "run"}:
        hint = "What is not meant for rhdesk goes behind a bare `--`."
    if _asks_for_json(typed):
        from rhdesk.cli.output import print_fault

        print_fault("usage", f"{said} {hint}".rstrip(), _USAGE, {})
    else:
        click.UsageError(said, getattr(error, "ctx", None)).show()
        if hint:
            click.echo(hint, err=True)
    return _USAGE


def _failed(error: RhdeskError, typed: Sequence[str]) -> int:
    from rhdesk.cli.output import print_error

    print_error(error, as_json=_asks_for_json(typed))
    return error.exit_code


def _interrupted(typed: Sequence[str]) -> int:
    if _asks_for_json(typed):
        from rhdesk.cli.output import print_fault

        print_fault("interrupted", "stopped by Ctrl-C", _INTERRUPTED, {})
    return _INTERRUPTED


def _crashed(error: Exception, typed: Sequence[str]) -> int:
    import traceback  # deferred: nothing on the way of a command that works

    from rhdesk.cli.output import print_fault

    text = "".join(traceback.format_exception(error))
    file = _write_crash(f"rhdesk {' '.join(typed)}\n{text}")
    message = f"this is a fault of rhdesk: {type(error).__name__}: {error} (details: {file})"
    message = clean(message)
    if os.environ.get("RHDESK_DEBUG"):
        sys.stderr.write(clean_block(text) + "\n")
    if _asks_for_json(typed):
        print_fault("crash", message, _CRASHED, {"details": file})
    else:
        sys.stderr.write(f"rhdesk: {message}\n")
    return _CRASHED


def _write_crash(text: str) -> str:
    """Where *text* was written: beside the record, or in the temporary folder without one."""
    import tempfile  # deferred as above

    from rhdesk.config import Settings

    try:
        folder = Settings.load().data_dir / "crashes"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RhdeskError):
        folder = None
    with tempfile.NamedTemporaryFile(
        "w",
        dir=folder,
        prefix="crash-",
        suffix=".txt",
        encoding="utf-8",
        errors="backslashreplace",
        delete=False,
    ) as file:
        file.write(text)
    return file.name
