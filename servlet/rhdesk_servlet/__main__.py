"""``python -m rhdesk_servlet``."""

from rhdesk_servlet.main import main

main()
