"""``rhdesk secret``: kept sealed here, loaded from and saved to where providers look for them.

A value is never an argument: every user of the machine can read the arguments of every process.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from rhdesk.cli import output
from rhdesk.cli.running import answer, as_json, at_desk
from rhdesk.errors import BadInput, NotFound
from rhdesk.foreign import clean
from rhdesk.models import MASK, Provider, Secret, SecretText, Values
from rhdesk.secrets.keys import GUARDS

_GIVEN = "FIELD=PLACE"


@click.group()
def secret() -> None:
    """Secrets: kept sealed on this machine; a provider's where its library looks for them."""


@secret.command()
@as_json
def ls(as_json: bool) -> None:
    """Every secret; never a value."""
    found = at_desk(lambda desk: desk.secrets())
    answer(found, as_json, lambda: _table(found))


@secret.command()
@click.argument("name")
@click.argument("fields", nargs=-1)
@click.option("--from-env", multiple=True, metavar=_GIVEN, help="From a variable: key=OPENAI_KEY.")
@click.option("--from-file", multiple=True, metavar=_GIVEN, help="From a file: key=./key.pem.")
@click.option("--stdin", is_flag=True, help="From standard input: one value, or a JSON object.")
@click.option("--provider", default="", help="Whose credentials it is: aws, openai ...")
@click.option("--expect", default=-1, help="Fail when another version is there by now.")
@as_json
def put(
    name: str,
    fields: tuple[str, ...],
    from_env: tuple[str, ...],
    from_file: tuple[str, ...],
    stdin: bool,
    provider: str,
    expect: int,
    as_json: bool,
) -> None:
    """Keep a secret called NAME; what its FIELDS hold is asked for, and not shown.

    rhdesk secret put openai api_key --provider openai
    """
    import os  # deferred: for --from-env alone

    values: Values = {}
    for field, variable in _pairs(from_env, "--from-env"):
        if variable not in os.environ:
            raise NotFound(variable, kind="environment variable")
        values[field] = SecretText(os.environ[variable])
    for field, path in _pairs(from_file, "--from-file"):
        values[field] = SecretText(_read(path))
    if stdin:
        values |= _from_stdin(fields)
    else:
        values |= {field: _typed(field) for field in fields}
    if not values:
        raise BadInput(f"say which fields {name} has: rhdesk secret put {name} api_key")
    kept = at_desk(lambda desk: desk.put_secret(name, values, provider=provider, expect=expect))
    answer(kept, as_json, lambda: output.note(f"kept {kept.name}, version {kept.version}"))


@secret.command()
@click.argument("name")
@click.argument("field", default="")
@click.option("--version", default=0, help="An earlier one; 0 is the newest.")
@click.option("--reveal", is_flag=True, help="Print what it holds.")
@as_json
def get(name: str, field: str, version: int, reveal: bool, as_json: bool) -> None:
    """What NAME holds: its fields, and with --reveal their values.

    With one FIELD and --reveal the value alone is printed, for a script.
    """
    values = at_desk(lambda desk: desk.read_secret(name, version=version))
    if field and field not in values:
        raise NotFound(field, kind=f"field of {name}", near=tuple(values))
    shown = {
        each: value.reveal() if reveal else MASK
        for each, value in values.items()
        if field in ("", each)
    }
    if field and reveal and not as_json:
        sys.stdout.write(shown[field])
        if sys.stdout.isatty():
            sys.stdout.write("\n")
        return
    answer(shown, as_json, lambda: output.print_table(("FIELD", "VALUE"), list(shown.items())))


@secret.command()
@click.argument("name")
@as_json
def history(name: str, as_json: bool) -> None:
    """The versions of NAME, newest first; never a value."""
    found = at_desk(lambda desk: desk.secret_history(name))
    rows = [(str(s.version), output.ago(s.saved_at), ", ".join(s.fields)) for s in found]
    answer(found, as_json, lambda: output.print_table(("VERSION", "SAVED", "FIELDS"), rows))


@secret.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
def rm(name: str, yes: bool, as_json: bool) -> None:
    """Remove NAME with all its versions; what its provider's file holds stays."""
    if not yes:
        if not sys.stdin.isatty():
            raise BadInput(f"removing {name} cannot be undone; say --yes")
        click.confirm(f"Remove {clean(name)} and all its versions?", abort=True, err=True)
    at_desk(lambda desk: desk.delete_secret(name))
    answer({"removed": name}, as_json, lambda: output.note(f"removed {name}"))


@secret.command()
@click.argument("old")
@click.argument("new")
@as_json
def rename(old: str, new: str, as_json: bool) -> None:
    """Give a secret another name; its versions go with it."""
    kept = at_desk(lambda desk: desk.rename_secret(old, new))
    answer(kept, as_json, lambda: output.note(f"{old} is {kept.name} now"))


@secret.command()
@as_json
def providers(as_json: bool) -> None:
    """Whose credentials are understood, and where there are some on this machine."""
    found = at_desk(lambda desk: desk.providers())
    rows = [(p.name, _found(p), ", ".join([*p.places, *p.variables])) for p in found]
    head = ("PROVIDER", "FOUND IN", "LOOKED FOR IN")
    answer(found, as_json, lambda: output.print_table(head, rows))


@secret.command()
@click.argument("provider")
@click.option("--as", "name", default="", help="What to call it; by default as its provider.")
@click.option("--from-env", is_flag=True, help="Read its variables only, not its files.")
@as_json
def load(provider: str, name: str, from_env: bool, as_json: bool) -> None:
    """Keep what PROVIDER has on this machine: rhdesk secret load aws."""
    kept = at_desk(lambda desk: desk.load_provider(provider, name=name, from_env=from_env))
    answer(kept, as_json, lambda: output.note(f"kept {kept.name}, version {kept.version}"))


@secret.command()
@click.argument("name")
@click.option("--version", default=0, help="An earlier one; 0 is the newest.")
@click.option("--provider", default="", help="Whose; by default whose it was put as.")
@as_json
def save(name: str, version: int, provider: str, as_json: bool) -> None:
    """Write NAME where its provider looks for it; other profiles there stay."""
    files = at_desk(lambda desk: desk.save_provider(name, version=version, provider=provider))
    answer(files, as_json, lambda: output.note(f"written: {', '.join(files) or 'nothing new'}"))


@secret.command()
@click.argument("name")
@click.option("--on", required=True, help="The cluster or host to write it on.")
@click.option("--node", default="", help="This machine of it.")
@click.option("--provider", default="", help="Whose credentials it is, if it was not said.")
@as_json
def send(name: str, on: str, node: str, provider: str, as_json: bool) -> None:
    """Write secret NAME where its provider looks for it on another machine; it stays there.

    For as long as an environment lasts only: rhdesk env make ENV --secret NAME --on CLUSTER
    """
    files = at_desk(lambda desk: desk.send_secret(name, on=on, node=node, provider=provider))
    answer(files, as_json, lambda: output.note(f"{name} is in {', '.join(files)} of {on}"))


@secret.command()
@click.argument("guard", type=click.Choice(GUARDS), required=False)
@as_json
def guard(guard: str | None, as_json: bool) -> None:
    """What guards the keys of your secrets; with GUARD, have that do it from now on."""
    if guard:
        at_desk(lambda desk: desk.guard_secrets(guard))
    now = at_desk(lambda desk: desk.secret_guard())
    said = (
        f"a {now} guards them" if now else "there are no secrets yet; a key file would guard them"
    )
    answer({"guard": now}, as_json, lambda: output.note(said))


@secret.group(invoke_without_command=True)
@as_json
@click.pass_context
def keeper(context: click.Context, as_json: bool) -> None:
    """Who keeps your secrets: this machine, a Vault, or the team's store."""
    if context.invoked_subcommand is None:
        now = at_desk(lambda desk: desk.secret_keeper())
        answer(now, as_json, lambda: output.note(f"{now.name}: {now.where}"))


@keeper.command("vault")
@click.argument("address")
@click.option("--mount", default="secret", show_default=True, help="Of KV version 2.")
@click.option("--folder", default="rhdesk", show_default=True, help="Below the mount.")
@click.option("--namespace", default="")
@click.option("--role-id", default="", help="Of AppRole; its secret id is asked for then.")
@click.option("--ca-file", default="", help="Certificates to trust, in place of the system's.")
@click.option("--stdin", is_flag=True, help="The token, or secret id, from standard input.")
@as_json
def vault(
    address: str,
    mount: str,
    folder: str,
    namespace: str,
    role_id: str,
    ca_file: str,
    stdin: bool,
    as_json: bool,
) -> None:
    """Keep secrets in the Vault at ADDRESS; its token is asked for, and kept sealed here."""
    what = "secret id" if role_id else "token"
    credential = SecretText(sys.stdin.read().strip()) if stdin else _typed(what)
    now = at_desk(
        lambda desk: desk.use_vault(
            address,
            credential,
            mount=mount,
            folder=folder,
            namespace=namespace,
            role_id=role_id,
            ca_file=ca_file,
        )
    )
    answer(now, as_json, lambda: output.note(f"kept from now on in {now.where}"))


@keeper.command("store")
@click.argument("folder")
@click.option("--stdin", is_flag=True, help="The passphrase from standard input.")
@as_json
def store(folder: str, stdin: bool, as_json: bool) -> None:
    """Keep secrets in FOLDER of the team's store, sealed here with a passphrase the team knows."""
    passphrase = SecretText(sys.stdin.read().strip()) if stdin else _typed("team's passphrase")
    now = at_desk(lambda desk: desk.use_store_keeper(folder, passphrase))
    answer(now, as_json, lambda: output.note(f"kept from now on in {now.where} of the store"))


@keeper.command("sealed")
@as_json
def sealed(as_json: bool) -> None:
    """Keep secrets on this machine; what the Vault holds stays there."""
    now = at_desk(lambda desk: desk.use_sealed())
    answer(now, as_json, lambda: output.note(f"kept from now on in {now.where}"))


@secret.command()
@as_json
def verify(as_json: bool) -> None:
    """Try everything a keeper promises on yours, under a name of its own; ends with 1 if not."""
    checks = at_desk(lambda desk: desk.verify_keeper())
    rows = [("✓" if check.ok else "✗", check.what, check.evidence) for check in checks]
    answer(checks, as_json, lambda: output.print_table(("", "PROMISE", "SEEN"), rows))
    if not all(check.ok for check in checks):
        raise click.exceptions.Exit(1)


@secret.command("renew-keys")
@as_json
def renew_keys(as_json: bool) -> None:
    """Seal every secret's key anew; no value changes."""
    count = at_desk(lambda desk: desk.renew_secret_keys())
    answer({"versions": count}, as_json, lambda: output.note(f"{count} versions sealed anew"))


def _table(found: Sequence[Secret]) -> None:
    rows = [
        (s.name, s.provider or "-", str(s.version), ", ".join(s.fields), output.ago(s.saved_at))
        for s in found
    ]
    output.print_table(("NAME", "PROVIDER", "VERSION", "FIELDS", "SAVED"), rows)
    if not found:
        output.note("none yet: rhdesk secret providers says what could be loaded")


def _found(provider: Provider) -> str:
    return provider.flaw or provider.found or "-"


def _pairs(given: Sequence[str], option: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for text in given:
        field, equals, place = text.partition("=")
        if not field or not equals or not place:
            raise BadInput(f"{option} takes a field and a place: {option} api_key=MY_KEY")
        found.append((field, place))
    return found


def _read(path: str) -> str:
    try:
        return Path(path).expanduser().read_text("utf-8")
    except OSError as exc:
        raise BadInput(f"{path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise BadInput(f"{path} is not text; a secret is text") from exc


def _from_stdin(fields: Sequence[str]) -> Values:
    text = sys.stdin.read()
    if len(fields) == 1:
        return {fields[0]: SecretText(text.removesuffix("\n"))}
    try:
        said = msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError:
        raise BadInput(
            'with --stdin say one FIELD, or give an object of text: {"api_key": "..."}'
        ) from None
    return {field: SecretText(value) for field, value in said.items()}


def _typed(field: str) -> SecretText:
    """What a person types for a field; nothing of it is shown."""
    name, equals, _ = field.partition("=")
    if equals:
        raise BadInput(
            f"the value of {name} would be seen by every user of this machine; "
            f"leave it out and type it when asked, or use --stdin"
        )
    if not sys.stdin.isatty():
        raise BadInput(f"nobody is here to type {field}; give it with --stdin or --from-env")
    text: str = click.prompt(clean(field), hide_input=True, err=True)
    return SecretText(text)
