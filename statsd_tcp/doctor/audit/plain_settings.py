"""Opinions on sysctl settings that are the same whatever their value and the machine."""

from __future__ import annotations

import re

from statsd_tcp.doctor.audit.opinion import Grade, Opinion

__all__ = ["PLAIN_RULES"]

_IP = "ip-sysctl.rst"


def _row(pattern: str, grade: Grade, why: str, source: str) -> tuple[re.Pattern[str], Opinion]:
    return re.compile(pattern), Opinion(grade, why, source)


PLAIN_RULES: tuple[tuple[re.Pattern[str], Opinion], ...] = (
    _row(r"net\.ipv4\.ip_local_reserved_ports", Grade.RIGHT,
         "keeps outgoing connections off the service's ports", f"{_IP}: ip_local_reserved_ports"),
    _row(r"net\.ipv4\.tcp_(mem|limit_output_bytes)", Grade.IRRELEVANT,
         "the kernel sizes it by the memory; short connections hold little", f"{_IP}: tcp_mem"),
    _row(r"net\.core\.(wmem_max|wmem_default|optmem_max)", Grade.IRRELEVANT,
         "about sending much data; TCP has its own sizes", "net.rst"),
    _row(r"net\.ipv4\.tcp_keepalive_", Grade.IRRELEVANT,
         "the service sets its own keepalive on its sockets", "tcp(7): TCP_KEEPIDLE"),
    _row(r"net\.ipv4\.tcp_synack_retries", Grade.IRRELEVANT,
         "how long half-open connections are kept: of use in a SYN flood only", f"{_IP}: tcp_synack_retries"),
    _row(r"net\.ipv4\.tcp_(syn_retries|tw_reuse_delay|syn_linear_timeouts)", Grade.IRRELEVANT,
         "about outgoing connections", _IP),
    _row(r"net\.ipv4\.tcp_orphan_retries", Grade.IRRELEVANT,
         "about connections whose client vanished: few, and soon gone", f"{_IP}: tcp_orphan_retries"),
    _row(r"net\.ipv4\.tcp_(sack|dsack|fack|window_scaling|moderate_rcvbuf|slow_start_after_idle|no_metrics_save|"
         r"mtu_probing|congestion_control|notsent_lowat|adv_win_scale|app_win|autocorking|ecn|frto|reordering|"
         r"early_retrans|recovery|thin_\w+|min_tso_segs|pacing_\w+)", Grade.IRRELEVANT,
         "about connections that carry much data or live long", _IP),
    _row(r"net\.core\.default_qdisc", Grade.IRRELEVANT, "about sending much data", "net.rst: default_qdisc"),
    _row(r"net\.ipv4\.tcp_low_latency", Grade.OUTDATED, "does nothing since Linux 4.14", f"{_IP}: tcp_low_latency"),
    _row(r"net\.ipv4\.tcp_rfc1337", Grade.IRRELEVANT,
         "about resets that end TIME_WAIT early: no count depends on it", f"{_IP}: tcp_rfc1337"),
    _row(r"net\.ipv4\.tcp_migrate_req", Grade.IRRELEVANT,
         "the supervisor keeps all sockets; elsewhere 1 saves the queue of a closed one", f"{_IP}: tcp_migrate_req"),
    _row(r"net\.core\.(busy_poll|busy_read)", Grade.HARMFUL,
         "burns a processor for the latency of a few sockets, not for many short connections", "net.rst: busy_poll"),
    _row(r"net\.core\.(netdev_budget|netdev_budget_usecs|dev_weight)", Grade.IRRELEVANT,
         "of use only while column 3 of softnet_stat grows and the processor is not busy", "net.rst: netdev_budget"),
    _row(r"net\.core\.rps_sock_flow_entries", Grade.IRRELEVANT,
         "a short connection is over before the flow table helps", "scaling.rst: RFS"),
    _row(r"net\.(netfilter\.|ipv4\.netfilter\.ip_)(nf_)?conntrack_tcp_timeout_(time|close|fin)_wait", Grade.RIGHT,
         "where connections are tracked a shorter time needs fewer entries; not tracking the ports is better",
         "nf_conntrack-sysctl.rst"),
    _row(r"net\.netfilter\.nf_conntrack_", Grade.IRRELEVANT,
         "only where connections are tracked; best is not to track the service's ports", "nf_conntrack-sysctl.rst"),
    _row(r"net\.ipv4\.(netfilter\.)?ip_conntrack_", Grade.OUTDATED,
         "the name since Linux 2.6.20 is nf_conntrack_", "nf_conntrack-sysctl.rst"),
    _row(r"net\.ipv4\.(conf|icmp|route|neigh|ip_forward|igmp)|net\.ipv6\.|net\.bridge\.|net\.unix\.", Grade.IRRELEVANT,
         "no bearing on accepting connections", _IP),
    _row(r"vm\.|kernel\.|dev\.|fs\.(aio|inotify|epoll|pipe|suid|protected)", Grade.IRRELEVANT,
         "no bearing on accepting connections", "the sysctl documentation of the kernel"),
)  # fmt: skip
"""Tried in order, against the whole name's beginning."""
