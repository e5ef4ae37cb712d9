"""Settings, and for every value of them where it comes from."""

from rhdesk.config.layers import PROJECT_FILE as PROJECT_FILE
from rhdesk.config.layers import config_file as config_file
from rhdesk.config.settings import Settings as Settings
