"""Questions on the terminal: is this the host's key, what is the passphrase. Scripts are not asked."""

from __future__ import annotations

import asyncio
import sys

import click

from rhdesk.foreign import clean


class TerminalAsks:
    """Satisfies `rhdesk.ports.Asks`."""

    async def trust_host(self, host: str, key_type: str, fingerprint: str, note: str) -> bool:
        text = (
            f"{clean(host)} ({clean(note)}) was never connected to from here. It shows the key\n"
            f"    {clean(key_type)} {clean(fingerprint)}\n"
            "Compare it with the host's own: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\n"
            "Is it the same, and shall it be trusted from now on?"
        )
        return await asyncio.to_thread(click.confirm, text, default=False, err=True)

    async def secret(self, prompt: str) -> str | None:
        typed: str = await asyncio.to_thread(
            click.prompt, clean(prompt), default="", hide_input=True, show_default=False, err=True
        )
        return typed or None


def terminal_asks() -> TerminalAsks | None:
    """Whoever sits at the terminal; None where nobody does."""
    return TerminalAsks() if sys.stdin.isatty() and sys.stderr.isatty() else None
