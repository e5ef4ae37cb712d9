"""What is sent of secrets to where they are used: files in their providers' formats, and variables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rhdesk.errors import BadInput
from rhdesk.models import Values
from rhdesk.secrets.providers import provider as known
from rhdesk.secrets.providers.place import Packed
from rhdesk.wire.secrets import Delivered

_HOME = Path("/")


def delivered(secrets: Mapping[str, tuple[str, Values]]) -> Delivered:
    """Secrets for one environment.

    Those of a provider are where its library looks for them; the fields of any other are files,
    ``<secret>/<field>``.

    Args:
        secrets: Provider, or empty for nobody's, and values, by name.

    Raises:
        BadInput: A provider's are found in a home only, two are of one provider, or a field is
            missing.
    """
    files: dict[str, str] = {}
    pointing: dict[str, str] = {}
    variables: dict[str, str] = {}
    values: dict[str, str] = {}
    seen: dict[str, str] = {}
    for name, (whose, given) in secrets.items():
        revealed = {field: value.reveal() for field, value in given.items()}
        values |= {f"{name}.{field}": value for field, value in revealed.items()}
        if not whose:
            files |= {
                f"{name.replace('/', '_')}/{field}": text for field, text in revealed.items()
            }
            continue
        if whose in seen:
            raise BadInput(f"{seen[whose]} and {name} are both of {whose}; give one of them")
        seen[whose] = name
        theirs = known(whose)
        if not theirs.pointing:
            found = {
                variable: revealed[field]
                for variable, field in theirs.variables.items()
                if field in revealed
            }
            if not found:
                raise BadInput(
                    f"{whose} finds its credentials in a home folder only; put them there: "
                    f"rhdesk secret send {name} --on CLUSTER"
                )
            variables |= found
            continue
        place = Packed(_HOME, {}, {})
        try:
            theirs.write(revealed, place)
        except ValueError as exc:
            raise BadInput(str(exc)) from exc
        written = {str(file.relative_to(_HOME)): text for file, text in place.files.items()}
        files |= written
        pointing |= {
            variable: path
            for variable, path in theirs.pointing.items()
            if any(file == path or file.startswith(f"{path}/") for file in written)
        }
    return Delivered(files, pointing, variables, values)
