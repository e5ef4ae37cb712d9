"""What SkyPilot's optimizer considered, read from the table it prints: it has no other form of it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from rhdesk.models import Offer

_RULE = re.compile(r"-{8,}")
_INFRA = re.compile(r"(.+?) \((.+)\)")


def considered(lines: Iterable[str], count: int) -> list[Offer]:
    """The offers of the table, the chosen one first; prices of one machine.

    Args:
        count: How many machines the prices printed are for.
    """
    found: list[tuple[bool, Offer]] = []
    columns: dict[str, tuple[int, int]] = {}
    for line in lines:
        if "INFRA" in line and "COST ($)" in line:
            columns = _columns(line)
        elif columns and not _RULE.search(line):
            cells = {name: line[start:end].strip() for name, (start, end) in columns.items()}
            if not _number(cells["vCPUs"]) and not _number(cells["COST ($)"]):
                columns = {}
                continue
            offer = Offer(
                infra=_infra(cells["INFRA"]),
                instance_type=cells["INSTANCE"].strip("-"),
                accelerators=cells.get("GPUS", "").strip("-"),
                cpus=_number(cells["vCPUs"]),
                memory_gib=_number(cells["Mem(GB)"]),
                price_per_hour=_number(cells["COST ($)"]) / max(1, count),
            )
            found.append((bool(cells.get("CHOSEN")), offer))
    return [offer for _, offer in sorted(found, key=lambda each: not each[0])]


def _columns(head: str) -> dict[str, tuple[int, int]]:
    """Where each column is: from the start of its name to the start of the next."""
    names = [(match[0], match.start()) for match in re.finditer(r"\S+(?: \S+)?", head)]
    ends = [start for _, start in names[1:]] + [10_000]
    return {name: (start, end) for (name, start), end in zip(names, ends, strict=True)}


def _infra(text: str) -> str:
    """``AWS (us-east-1)`` as ``aws/us-east-1``."""
    match = _INFRA.fullmatch(text)
    return f"{match[1].lower()}/{match[2]}" if match else text.lower()


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def listed(found: Mapping[str, Any]) -> list[Offer]:
    """SkyPilot's price list by accelerator, the cheapest first; rows of it are lists or objects."""
    offers: list[Offer] = []
    for rows in found.values():
        for row in rows:
            # cloud, instance_type, accelerator_name, accelerator_count, cpu_count, device_memory,
            # memory, price, spot_price, region (sky.catalog.common.InstanceTypeInfo)
            cells = list(row.values()) if isinstance(row, Mapping) else list(row)
            cloud, kind, name, count, cpus, _, memory, price, spot, region = cells[:10]
            offers.append(
                Offer(
                    infra="/".join(str(part) for part in (str(cloud).lower(), region) if part),
                    instance_type=str(kind or ""),
                    accelerators=f"{name}:{float(count):g}",
                    cpus=_known(cpus),
                    memory_gib=_known(memory),
                    price_per_hour=_known(price),
                    spot_price_per_hour=_known(spot),
                )
            )
    return sorted(offers, key=lambda each: (not each.price_per_hour, each.price_per_hour))


def _known(value: Any) -> float:
    """A number of the price list; a NaN there stands for one that nobody knows."""
    number = float(value) if isinstance(value, int | float) else 0.0
    return 0.0 if math.isnan(number) else number
