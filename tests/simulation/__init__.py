"""The protocol's rules on a million bad days: the real engine and the real store, no I/O.

One seed is one schedule. `world` is the people, the network and the crashes; `memory` keeps what a
disk would; `oracle` looks on and shares no code with what it judges; `mutants` are the bugs it must
notice.
"""
