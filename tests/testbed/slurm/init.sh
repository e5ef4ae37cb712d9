#!/bin/bash
# Process 1 of the login node, and of all that hangs off it.   init.sh NODES NETWORK
exec >>/var/log/bed-init.log 2>&1
export PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
hostname login
mkdir -p /run/munge /run/sshd /var/spool/slurmctld /var/log/slurm /var/bed/tmp
chown munge:munge /run/munge /var/log/munge /var/lib/munge /etc/munge
chmod 755 /run/munge
chmod 700 /etc/munge
[ -s /etc/munge/munge.key ] || dd if=/dev/urandom of=/etc/munge/munge.key bs=1024 count=1 status=none
chown munge:munge /etc/munge/munge.key
chmod 400 /etc/munge/munge.key
rm -f /var/log/munge/munged.log /run/munge/*
setpriv --reuid=munge --regid=munge --clear-groups /usr/sbin/munged --force
ip link add br0 type bridge
ip link set br0 up
ip link set v0 master br0
ip link set v0 up
ip addr add "$2.2/24" dev br0
/usr/sbin/sshd -f /opt/bed/sshd_config
/usr/sbin/slurmctld
for n in $(seq 0 $(($1 - 1))); do
    unshare -n -u -m /opt/bed/worker.sh "$n" "$2" &
    w=$!
    until [ "$(readlink /proc/$w/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep .01; done
    ip link add "p$n" type veth peer name e0 netns $w
    ip link set "p$n" master br0
    ip link set "p$n" up
    echo $w >"/run/bed-node$n.pid"
done
touch /run/bed-ready
while :; do
    sleep 3600 &
    wait $!
done
