"""Hosts over SSH.

config        what ~/.ssh/config says of a host                                    config.py
known_hosts   which key a host showed before, and what to do when it is another     known_hosts.py
connection    one authenticated connection, everything multiplexed over it          connection.py
link          a connection that is made anew when it breaks                         link.py
"""
