"""A shell of a host on the terminal somebody sits at. Blocking; it has the terminal until it ends."""

from __future__ import annotations

import os
import select
import shutil
import sys
import termios
import tty

from rhdesk.clusters.ssh.connection import Connection

_PIECE = 1 << 16
_LOOK_S = 0.3
"""So often it is looked whether the window has another size: a signal reaches the main thread only,
and an event loop has that."""


def attach(connection: Connection, command: str = "") -> int:
    """Run a login shell, or *command*, on a terminal of its own; returns its exit code.

    What is typed goes there as it is, Ctrl-C too; a window that changes its size tells.
    """
    size = shutil.get_terminal_size()
    channel = connection.shell(
        width=size.columns,
        height=size.lines,
        term=os.environ.get("TERM", "xterm"),
        command=command,
    )
    stdin = sys.stdin.fileno()
    before = termios.tcgetattr(stdin) if sys.stdin.isatty() else None

    try:
        if before is not None:
            tty.setraw(stdin)
        watched = [channel.fileno(), stdin]
        while True:
            ready, _, _ = select.select(watched, [], [], _LOOK_S)
            if shutil.get_terminal_size() != size:
                size = shutil.get_terminal_size()
                channel.resize_pty(size.columns, size.lines)
            if channel.fileno() in ready:
                data = channel.recv(_PIECE)
                if not data:
                    break
                os.write(sys.stdout.fileno(), data)
            if stdin in ready:
                typed = os.read(stdin, _PIECE)
                if typed:
                    channel.sendall(typed)
                else:
                    channel.shutdown_write()
                    watched.remove(stdin)
        return int(channel.recv_exit_status())
    finally:
        if before is not None:
            termios.tcsetattr(stdin, termios.TCSADRAIN, before)
        channel.close()
