#!/bin/bash
# Before each job, on each of its nodes: what SkyPilot would fetch from the internet is put where it
# looks first. uv: ~/.local/bin of the job's home; its runtime: /tmp/<name on the cluster>.
n=${SLURM_JOB_NAME:-$(scontrol show job -o "$SLURM_JOB_ID" | sed -n 's/.*JobName=\([^ ]*\).*/\1/p')}
[[ $n =~ -[0-9a-f]{8}$ ]] || exit 0
mkdir -p "/root/.sky_clusters/$n/.local/bin"
# Nodes share the home: whoever is second must not take away what the first one's job uses already.
ln -s /opt/bed/uv "/root/.sky_clusters/$n/.local/bin/uv" 2>/dev/null
# The same folder as /tmp/$n of the node, but on the file system where hard links work.
t=/var/bed/tmp/$(hostname)/$n
mkdir -p "$t" && cp -al /opt/bed/runtime "$t/skypilot-runtime"
exit 0
