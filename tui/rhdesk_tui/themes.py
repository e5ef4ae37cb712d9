"""The two themes. Every state also has a sign and a word, so colour only repeats what is said."""

from __future__ import annotations

from typing import Final

from textual.theme import Theme

DARK: Final = Theme(
    name="rhdesk-dark",
    dark=True,
    primary="#5fa8d3",
    secondary="#8d99ae",
    accent="#f2b56b",
    success="#7fc29b",
    warning="#e8c468",
    error="#ec7f79",
    foreground="#d7dde5",
    background="#12161c",
    surface="#171c24",
    panel="#212935",
    variables={
        "edge": "#38434f",
        "edge-focus": "#5fa8d3",
        "quiet": "#8795a5",
        "row": "#26384a",
        "row-blur": "#1e2731",
        "mark": "#5b4a1f",
        "key": "#f2b56b",
        "field": "#232c38",
        "input-selection-background": "#5fa8d3 35%",
        "scrollbar": "#2b3542",
        "scrollbar-hover": "#3a4757",
        "scrollbar-active": "#5fa8d3",
        "scrollbar-background": "#171c24",
        "scrollbar-background-hover": "#171c24",
        "scrollbar-background-active": "#171c24",
        "scrollbar-corner-color": "#171c24",
    },
)

LIGHT: Final = Theme(
    name="rhdesk-light",
    dark=False,
    primary="#1f6a9a",
    secondary="#5c6b7a",
    accent="#9a5b00",
    success="#1f7a46",
    warning="#8a6100",
    error="#b3352f",
    foreground="#1f2933",
    background="#eef1f4",
    surface="#fbfcfd",
    panel="#e3e8ee",
    variables={
        "edge": "#b8c2cd",
        "edge-focus": "#1f6a9a",
        "quiet": "#5d6b7a",
        "row": "#cfe2f1",
        "row-blur": "#e4e9ee",
        "mark": "#ffe39a",
        "key": "#9a5b00",
        "field": "#e6ebf0",
        "input-selection-background": "#1f6a9a 25%",
        "scrollbar": "#cdd5dd",
        "scrollbar-hover": "#b3bec9",
        "scrollbar-active": "#1f6a9a",
        "scrollbar-background": "#fbfcfd",
        "scrollbar-background-hover": "#fbfcfd",
        "scrollbar-background-active": "#fbfcfd",
        "scrollbar-corner-color": "#fbfcfd",
    },
)
