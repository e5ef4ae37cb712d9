#!/bin/bash
# One compute node: a name, an address, and a /tmp of its own.   worker.sh NUMBER NETWORK
hostname "node$1"
mount --make-rprivate /
rm -rf "/var/bed/tmp/node$1"
mkdir -m 1777 -p "/var/bed/tmp/node$1" "/var/spool/slurmd/node$1"
mount --bind "/var/bed/tmp/node$1" /tmp
ip link set lo up
until ip link set e0 up 2>/dev/null; do sleep .01; done
ip addr add "$2.1$1/24" dev e0
exec /usr/sbin/slurmd -D -N "node$1"
