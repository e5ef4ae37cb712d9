# The process all of a host hangs off (see hosts.py): host_init.sh FOLDER NAME ADDRESS INTERFACE
# Runs in namespaces of its own: mount, pid, uts, ipc, net.
read go
set -e
R=$1 N=$2 A=$3 V=$4
hostname "$N"
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=/,upperdir=$R/upper,workdir=$R/work" "$R/root"
cd "$R/root"
for place in $EMPTY; do
    [ -d "$R/root$place" ] && mount -t tmpfs -o mode=0755 tmpfs "$R/root$place"
done
mount -t tmpfs -o mode=1777,size=$TMP_SIZE$TMP_OPTIONS tmpfs "$R/root/tmp"
mount -t tmpfs -o mode=1777 tmpfs "$R/root/var/tmp"
mount -t proc proc "$R/root/proc"
mount -t tmpfs -o mode=0755 tmpfs "$R/root/dev"
for d in null zero full random urandom tty; do
    touch "$R/root/dev/$d"
    mount --bind "/dev/$d" "$R/root/dev/$d"
done
mkdir "$R/root/dev/pts" "$R/root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$R/root/dev/pts"
ln -s pts/ptmx "$R/root/dev/ptmx"
ln -s /proc/self/fd "$R/root/dev/fd"
mount -t tmpfs -o mode=1777,size=2g tmpfs "$R/root/dev/shm"
chmod 700 "$R/root/root"
mkdir -p "$R/root/home/ada" "$R/root/home/grace" "$R/root/run/sshd" "$R/root/etc/rhbed"
cp "$R"/keys/* "$R/root/etc/rhbed/"
chmod 600 "$R/root/etc/rhbed/hostkey"
{
    echo "root:x:0:0:root:/root:$SHELL_OF"
    echo "sshd:x:105:65534::/run/sshd:/usr/sbin/nologin"
    echo "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin"
    echo "ada:x:1000:1000::/home/ada:$SHELL_OF"
    echo "grace:x:1001:1001::/home/grace:$SHELL_OF"
} > "$R/root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\nada:x:1000:\ngrace:x:1001:\n' > "$R/root/etc/group"
printf 'root:*:1::::::\nada:*:1::::::\ngrace:*:1::::::\n' > "$R/root/etc/shadow"
printf '127.0.0.1 localhost\n' > "$R/root/etc/hosts"
: > "$R/root/etc/resolv.conf"
rm -f "$R/root/etc/profile" "$R/root/etc/bash.bashrc" "$R/root/etc/nologin"
chown 1000:1000 "$R/root/home/ada"
chown 1001:1001 "$R/root/home/grace"
chmod 700 "$R/root/home/ada" "$R/root/home/grace"
ip link set lo up
ip addr add "$A/16" dev "$V"
ip link set "$V" up
[ -e "$R/setup" ] && sh -e "$R/setup" "$R/root"
touch "$R/ready"
exec chroot "$R/root" /bin/sh -c '
    /usr/sbin/sshd -f /etc/rhbed/sshd_config -E /run/sshd.log
    while :; do sleep 3600 & wait; done'
