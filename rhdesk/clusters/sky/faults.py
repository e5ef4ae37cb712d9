"""SkyPilot's errors as ours: cause and remedy, in words somebody can act on."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Final

from rhdesk.errors import BadInput, ConnectionFailed, NotFound, Refused, RhdeskError, SetupFailed
from rhdesk.foreign import clean

_ACCELERATORS: Final = (
    *("A10", "A10G", "A100", "A100-80GB", "B200", "GH200", "H100", "H200", "L4", "L40", "L40S"),
    *("MI300X", "RTX3090", "RTX4090", "RTX6000-Ada", "T4", "V100", "V100-32GB", "P100", "K80"),
)
"""What is tried when a price list is not here to look a near name up in."""
_ASKED_WRONG: Final = frozenset(
    {"ValueError", "InvalidTaskSpecError", "InvalidCloudConfigs", "InvalidSkyPilotConfigError"}
)
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")


def error_from(kind: str, message: str) -> RhdeskError:
    """The error for what SkyPilot raised.

    Args:
        kind: Its class there.
    """
    text = " ".join(clean(line).strip() for line in _COLOURS.sub("", message).splitlines())
    short = text.split(" To fix:")[0].split(" Hint:")[0][:500].strip()
    if kind == "ClusterDoesNotExist":
        return NotFound.told(short)
    if "raw.githubusercontent" in text or ("catalog" in text.lower() and "resolve" in text):
        return ConnectionFailed(
            "the provider's price list is not on this machine and cannot be fetched: connect to a "
            "network once; a Slurm cluster, and machines of one's own (rhdesk up HOST), need none"
        )
    if match := re.search(r"requires (\S+) which is not enabled", text):
        return Refused(_not_enabled(match[1]))
    if kind == "NoCloudAccessError" or "No cloud is enabled" in text or "No infra" in text:
        return Refused(_not_enabled(""))
    if match := re.search(r"([Ss]topping) is currently not supported for (\w+)", text):
        return BadInput(
            f"{match[2]} cannot turn machines off and keep them: rhdesk down ends them"
        )
    if re.search(r"quota|LimitExceeded|exceeded.*limit", text, re.I):
        return SetupFailed(
            f"the provider's quota is used up: {short}. Ask it for more, or try another region or "
            "type: rhdesk up NAME --region ..., rhdesk offers",
            output=text,
        )
    if match := re.search(r"satisfying the request: \d+x (.*?)\.(?: |$)", text):
        return BadInput(
            f"no provider that is enabled has {match[1]}{_near(match[1])}. What there is: "
            "rhdesk offers"
        )
    if match := re.search(r"not found in Slurm config.*Available clusters: \[(.*?)\]", text):
        return BadInput(f"{short.split(' Slurm only')[0]}; regions of slurm are {match[1]}")
    if re.search(r"[Ii]nvalid (region|zone)", text):
        return BadInput(f"{short}; the regions of a provider: rhdesk offers --provider NAME")
    if kind == "ResourcesUnavailableError":
        return SetupFailed(
            f"no capacity: {short}. Try again later, another region or type, or without --spot",
            output=text,
        )
    if kind in _ASKED_WRONG:
        return BadInput(f"SkyPilot does not take this: {short}{_near(text)}")
    return SetupFailed(f"SkyPilot: {short or kind}", output=text)


def _not_enabled(provider: str) -> str:
    which = f"{provider} has" if provider else "no provider has"
    return (
        f"{which} credentials here that it takes. Log in with the provider's own tool (aws configure, "
        "gcloud auth application-default login, ~/.slurm/config), or write a secret you keep: "
        f"rhdesk secret send {provider or 'aws'} --on here; then rhdesk sky check"
    )


def nearest(name: str) -> list[str]:
    """Accelerators that are called much like *name*, which is none."""
    if name in _ACCELERATORS:
        return []
    return get_close_matches(name.upper(), _ACCELERATORS, 3, 0.5)


def _near(text: str) -> str:
    """The same of an accelerator in a sentence of SkyPilot's."""
    match = re.search(r"'([A-Za-z][\w-]*)': ?\d", text)
    near = nearest(match[1]) if match else []
    return f"; did you mean {' or '.join(near)}?" if near else ""
