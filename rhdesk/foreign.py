"""Text that came from elsewhere, made safe to show.

A log line, an exception's message or a file name can carry bytes that a terminal obeys: move the
cursor, write the clipboard, change the title. They are removed once, where the text comes in;
behind that point text is text. What is left of a control byte is its picture (NUL becomes
U+2400), so that nothing vanishes without a trace.
"""

from __future__ import annotations

import re
from typing import Final

_ESCAPES: Final = re.compile(
    r"(?:\x1b[PX^_\]]|[\x90\x98\x9d\x9e\x9f]).*?(?:\x1b\\|\x07|\x9c|$)"  # DCS SOS OSC PM APC
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI
    r"|\x1b[ -/]*[0-~]?",  # every other escape
    re.DOTALL,
)
_PICTURES: Final = {
    **{code: chr(0x2400 + code) for code in range(0x20) if code != 0x09},
    0x7F: "\u2421",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    **dict.fromkeys((0x200B, 0x200E, 0x200F, 0x2028, 0x2029, 0xFEFF), "\ufffd"),
    **dict.fromkeys(range(0x202A, 0x202F), "\ufffd"),
    **dict.fromkeys(range(0x2066, 0x206A), "\ufffd"),
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
}
_SUSPECT: Final = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def clean(text: str) -> str:
    """One line of foreign text without anything a terminal would obey; tabs stay."""
    if _SUSPECT.search(text) is None:
        return text
    return _ESCAPES.sub("", text).translate(_PICTURES)


def clean_block(text: str) -> str:
    """The same for text of several lines, such as a traceback; newlines stay."""
    return "\n".join(clean(line) for line in text.splitlines())


def decode(data: bytes) -> str:
    """Bytes as text; what is not UTF-8 shows as U+FFFD."""
    return data.decode("utf-8", errors="replace")
