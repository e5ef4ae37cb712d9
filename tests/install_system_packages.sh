#!/bin/sh
# What the tests need beside Python: git, a terminal to drive, the tools a stranger reads with, and
# what hosts of a network are made of.
set -eu
missing=""
for pair in git:git tmux:tmux sqlite3:sqlite3 curl:curl mount:mount gcc:gcc openssl:openssl \
    ssh:openssh-client rsync:rsync ip:iproute2 nft:nftables fish:fish csh:tcsh faketime:faketime; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
# Debian keeps sshd and initdb where a person's path does not lead.
[ -x /usr/sbin/sshd ] || missing="$missing openssh-server"
[ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 ||
    missing="$missing postgresql"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "the tests need:$missing (apt-get install them, or run as root)" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
case "$missing" in
*postgresql*)
    # The tests start servers of their own; the package need not start one.
    apt-get install -y -qq --no-install-recommends postgresql-common
    sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' \
        /etc/postgresql-common/createcluster.conf
    ;;
esac
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing
