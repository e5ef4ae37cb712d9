"""``python -m rhdesk.cli``."""

from rhdesk.cli.main import main

main()
