"""Every command: where it is, under which heading, and its line of help.

A table, so that ``rhdesk --help`` reads this and imports no command.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Verb(NamedTuple):
    module: str
    heading: str
    help: str


VERBS: Final[dict[str, Verb]] = {
    "up": Verb("clusters", "Clusters", "Bring a cluster up: `here`, or hosts over SSH."),
    "hosts": Verb("hosts", "Clusters", "Hosts of ~/.ssh/config, and which are clusters already."),
    "add": Verb("hosts", "Clusters", "Add a machine as a cluster; `up` brings it up."),
    "ssh": Verb("reach", "Clusters", "A shell on a machine, or a command there."),
    "forward": Verb("reach", "Clusters", "A port of a machine, here on loopback."),
    "cp": Verb("reach", "Clusters", "Copy files from and to a machine."),
    "notebook": Verb("reach", "Clusters", "JupyterLab on a machine."),
    "forget": Verb("clusters", "Clusters", "Forget a cluster that is down."),
    "down": Verb("clusters", "Clusters", "End exactly what `up` started."),
    "stop": Verb("machines", "Clusters", "Turn machines off and keep their disks."),
    "resize": Verb("machines", "Clusters", "Have a cluster of machines be of more or fewer."),
    "offers": Verb("machines", "Clusters", "Machines that could be had, and their prices."),
    "cost": Verb("machines", "Clusters", "What machines have cost so far."),
    "orphans": Verb("machines", "Clusters", "Machines that nobody accounts for; --end ends them."),
    "sky": Verb("machines", "Clusters", "SkyPilot on this machine: status, log, stop, remove."),
    "status": Verb("clusters", "Clusters", "How each cluster is doing."),
    "stats": Verb("nodes", "Clusters", "CPU, memory and GPUs of each node."),
    "nodes": Verb("nodes", "Clusters", "The machines of a cluster; one that is lost says why."),
    "autostop": Verb("nodes", "Clusters", "Have a cluster end itself when it is idle."),
    "doctor": Verb("clusters", "Clusters", "Look at everything a run needs, piece by piece."),
    "env": Verb("envs", "Clusters", "Environments: ls, make, drop."),
    "call": Verb("calls", "Calls", "Call a function: app.py:train alpha=0.3."),
    "map": Verb("mapping", "Calls", "Call a function once for each item, over all nodes."),
    "run": Verb("calls", "Calls", "Run shell commands on a cluster."),
    "watch": Verb("watch", "Calls", "Have what is saved in a folder be what the next call uses."),
    "result": Verb("calls", "Calls", "What a run returned."),
    "cancel": Verb("calls", "Calls", "Stop a run, whatever it is doing."),
    "runs": Verb("runs", "The record", "Runs, newest first."),
    "logs": Verb("runs", "The record", "What a run printed; follows one that still runs."),
    "search": Verb("runs", "The record", "Lines of every run that hold these words."),
    "pin": Verb("runs", "The record", "Keep a run from retention."),
    "unpin": Verb("runs", "The record", "Let retention have a run."),
    "rm": Verb("runs", "The record", "Remove finished runs with their lines."),
    "retain": Verb("runs", "The record", "Apply keep_days and keep_bytes now."),
    "ls": Verb("names", "Names", "Names in a folder."),
    "show": Verb("names", "Names", "What is saved under a name; --curl for its HTTP call."),
    "save": Verb("names", "Names", "Save app.py:train under a name, its code with it."),
    "history": Verb("history", "Names", "The versions of a name."),
    "diff": Verb("history", "Names", "What differs between two versions."),
    "rollback": Verb(
        "history", "Names", "Make an earlier version the newest, also where it runs."
    ),
    "lineage": Verb("lineage", "Names", "What a name came from; --down: what came of it."),
    "why": Verb("lineage", "Names", "Why a name exists, a sentence a step."),
    "rename": Verb("names", "Names", "Give a resource another name."),
    "delete": Verb("names", "Names", "Delete a name; its versions stay."),
    "login": Verb("store", "The store", "Log in to a store, or tell who is."),
    "logout": Verb("store", "The store", "Log out of the store."),
    "sync": Verb(
        "sync", "The store", "Send what waits to the store; push, pull: folders and clusters."
    ),
    "conflicts": Verb("store", "The store", "Writes that cannot both stand; decide them here."),
    "rejected": Verb("store", "The store", "Writes the store refused."),
    "share": Verb("store", "The store", "Let others read, call or write a folder."),
    "access": Verb("access", "The store", "Who may what, and why; grants, moving folders."),
    "group": Verb("groups", "The store", "Groups of people, and defaults of folders."),
    "lane": Verb("lanes", "The store", "Dev, staging, prod: promote, approve, roll back."),
    "token": Verb("tokens", "The store", "Your tokens: ls, narrow, rotate, revoke."),
    "secret": Verb(
        "secrets", "Secrets", "Secrets: ls, put, get, load from a provider, save there."
    ),
    "audit": Verb("audit", "Secrets", "What was done with secrets, by whom; verify: is it whole."),
    "data": Verb("data", "Data", "Files of any system: ls, cp, mv, rm, cat, info, mkdir."),
    "put": Verb("objects", "Objects", "Keep a value on a cluster under a key."),
    "get": Verb("objects", "Objects", "The value under a key."),
    "keys": Verb("objects", "Objects", "Every key."),
    "rename-key": Verb("objects", "Objects", "Give a value another key."),
    "rmkey": Verb("objects", "Objects", "Delete keys."),
    "clear": Verb("objects", "Objects", "Delete every key."),
    "server": Verb(
        "server", "The store", "The remote store: run one, its users and tokens, backups."
    ),
    "import": Verb("care", "Care", "Bring over a project of Runhouse v0.0.12."),
    "exchange": Verb("care", "Care", "Names through a git remote: fetch, merge, push."),
    "fsck": Verb("care", "Care", "Look at every store; --mend mends what can be mended."),
    "rebuild": Verb("care", "Care", "Make the index of names anew, from git and files."),
    "daemon": Verb("daemon", "The daemon", "What goes on in the background: start, stop, logs."),
    "config": Verb("config", "About", "The settings: why each is what it is, set, edit, lint."),
    "exit-codes": Verb("about", "About", "What each exit code means."),
    "completion": Verb("about", "About", "The line that gives your shell completion."),
    "version": Verb("about", "About", "Which rhdesk this is."),
}
