"""From a bare host to one that runs servlets: sshd and a Python is all that must be there.

hand      the first program on the host, and what it is told to do       hand.py
pythons   which Python of the host is used, and why not another          pythons.py
wheels    what is installed there, resolved and fetched here             wheels.py
archive   rhdesk's own code for the far side, as one file                archive.py
host      the steps, in order                                            host.py
"""

from typing import Final

ROOTS: Final = ("~/.rhdesk", "~/.cache/rhdesk", "/var/tmp/rhdesk-{uid}", "/tmp/rhdesk-{uid}")
"""Where our folder on a host may be, best first."""
