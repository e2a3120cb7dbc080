#!/bin/sh
# On the router: spread the connections to ADDRESS over the nodes, by the hash of their addresses and ports.
# Usage: ecmp.sh ADDRESS DEVICE NODE...
# Each node has ADDRESS on its loopback interface: ip address add ADDRESS/32 dev lo
set -e
address=$1 device=$2
shift 2

# Layer 4: the default spreads by addresses alone, so one client would always reach the same node.
sysctl -q -w net.ipv4.fib_multipath_hash_policy=1

group=
for node in "$@"; do
    id=${node##*.}
    ip nexthop replace id "$id" via "$node" dev "$device"
    group=${group:+$group/}$id
done
# Resilient: when a node is added, only connections that have been silent for 60 s may move to it.
ip nexthop replace id 1000 group "$group" type resilient buckets 256 idle_timer 60
ip route replace "$address/32" nhid 1000
