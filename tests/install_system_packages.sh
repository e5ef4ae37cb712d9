#!/bin/sh
# What the tests need beside Python: git, a terminal to drive, and the tools a stranger reads with.
set -eu
missing=""
for pair in git:git tmux:tmux sqlite3:sqlite3 curl:curl mount:mount gcc:gcc; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
[ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "the tests need:$missing (apt-get install them, or run as root)" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing
