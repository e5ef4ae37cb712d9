"""``rhdesk config``: the settings, where each comes from, and the files that hold them.

For most no desk is opened: it could not be with settings that are wrong, and this is where they
are mended.
"""

from __future__ import annotations

import click

from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json, at_desk
from rhdesk.config import PROJECT_FILE, config_file, explain, file
from rhdesk.desk.settings import SHARED
from rhdesk.errors import BadInput
from rhdesk.foreign import clean
from rhdesk.models import Setting

_project = click.option(
    "--project", is_flag=True, help=f"In the project's {PROJECT_FILE}, not in your own file."
)


@click.group(invoke_without_command=True)
@as_json
@click.pass_context
def config(context: click.Context, as_json: bool) -> None:
    """The settings, and which file or variable each comes from."""
    if context.invoked_subcommand is not None:
        return
    found = explain.explain()
    data = {
        "file": str(config_file()),
        "settings": {each.name: each.value for each in found},
        "sources": {each.name: each.source.layer for each in found},
    }

    def show() -> None:
        rows = [(s.name, str(s.value), s.source.layer, s.variable) for s in found]
        output.print_table(("SETTING", "VALUE", "FROM", "VARIABLE"), rows)
        output.note(f"set one: rhdesk config set {found[-1].name} 30; why: rhdesk config explain")

    answer(data, as_json, show)


@config.command()
@click.argument("key")
@as_json
def get(key: str, as_json: bool) -> None:
    """The value of KEY."""
    (found,) = explain.explain(key)
    answer(found.value, as_json, lambda: click.echo(clean(str(found.value))))


@config.command("explain")
@click.argument("key", default="")
@as_json
def explain_(key: str, as_json: bool) -> None:
    """Everybody who had a say in KEY, or in every setting; the last one decided."""
    found = explain.explain(key)

    def show() -> None:
        for each in found:
            _tell(each)

    answer(found, as_json, show)


@config.command("set")
@click.argument("key")
@click.argument("value")
@_project
@as_json
def set_(key: str, value: str, project: bool, as_json: bool) -> None:
    """Set KEY to VALUE in your settings file; what you wrote in it by hand stays."""
    _write(key, value, project, as_json)


@config.command()
@click.argument("key")
@_project
@as_json
def unset(key: str, project: bool, as_json: bool) -> None:
    """Take KEY out of your settings file again."""
    _write(key, None, project, as_json)


@config.command()
@_project
@as_json
def edit(project: bool, as_json: bool) -> None:
    """Open the settings file in your editor; what cannot be is told, and not saved."""
    place = file.place(project=project)
    before = place.read_text("utf-8") if place.is_file() else ""
    text = click.edit(before, extension=".toml")
    if text is None or text == before:
        answer({"file": str(place), "changed": False}, as_json, lambda: output.note("unchanged"))
        return
    if flaws := explain.lint_text("project" if project else "user", place, text):
        told = "; ".join(f"{flaw.where}: {flaw.what} {flaw.remedy}".strip() for flaw in flaws)
        raise BadInput(f"not saved: {told}")
    file.save(place, text)
    answer({"file": str(place), "changed": True}, as_json, lambda: output.note(f"saved {place}"))


@config.command()
@as_json
def lint(as_json: bool) -> None:
    """Everything wrong in the settings files and variables; ends with 2 if anything is."""
    flaws = explain.lint()

    def show() -> None:
        for flaw in flaws:
            remedy = f"; {flaw.remedy}" if flaw.remedy else ""
            click.echo(clean(f"{flaw.where}: {flaw.what}{remedy}"))
        if not flaws:
            output.note("nothing is wrong")

    answer(flaws, as_json, show)
    if flaws:
        raise click.exceptions.Exit(BadInput.exit_code)


@config.command()
@as_json
def schema(as_json: bool) -> None:
    """A JSON Schema of the settings files, for editors."""
    output.print_data(explain.schema())


@config.command()
@click.argument("name", default=SHARED)
@as_json
def upload(name: str, as_json: bool) -> None:
    """Save what your own file says under NAME, for your other machines."""
    saved = at_desk(lambda desk: desk.upload_settings(name))
    answer(saved, as_json, lambda: output.note(f"saved as {saved.name}"))


@config.command()
@click.argument("name", default=SHARED)
@as_json
def download(name: str, as_json: bool) -> None:
    """Write what you saved under NAME into your own file on this machine."""
    done = at_desk(lambda desk: desk.download_settings(name))
    answer(done, as_json, lambda: output.note(f"set: {', '.join(done) or 'nothing'}"))


def _write(key: str, value: str | None, project: bool, as_json: bool) -> None:
    written = file.write(key, value, project=project)
    (now,) = explain.explain(key)

    def show() -> None:
        output.note(f"{now.name} is {now.value} (from {now.source.where}); written in {written}")

    answer({"file": str(written), "setting": now}, as_json, show)


def _tell(setting: Setting) -> None:
    click.echo(clean(f"{setting.name} = {setting.value}"))
    output.note(f"    {setting.about}")
    for number, said in enumerate(reversed(setting.said)):
        mark = "→" if number == 0 else " "
        click.echo(clean(f"  {mark} {said.layer}: {said.value}  ({said.where})"))
