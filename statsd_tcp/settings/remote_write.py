"""The value of ``--remote-write``: where a receiver is, how often it is told, and how it is to be spoken to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import SplitResult, urlsplit

import msgspec

from statsd_tcp.settings.fields import arguments_of
from statsd_tcp.settings.host_name import expand, has_node

__all__ = ["RemoteTarget", "TlsClient", "parse_remote_write"]

NODE = "node"
"""The label by which the series of one node are told from those of others."""

LONGEST_SLOT = 240
"""Seconds. PromQL sees a series for five minutes after its last sample."""

_KEYS = ("every", "labels", "name", "basic", "bearer", "headers", "ca", "cert", "key")
_FIELD = re.compile(r"(?<!\\):(?=[a-z-]+=)")
_ESCAPED = re.compile(r"\\(.)")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BUCKET = "le"
_URL = re.compile(r"[!-~]+")


class TlsClient(msgspec.Struct, frozen=True):
    """Files in PEM: of the authorities that are trusted, and of the client's certificate and its key; "" for none."""

    ca: str = ""
    cert: str = ""
    key: str = ""


class RemoteTarget(msgspec.Struct, frozen=True, kw_only=True):
    """One receiver: its URL, the seconds of a slot, labels of all series, and files with what it must be told.

    ``basic``, ``bearer`` and ``headers`` are files with a name and a password, a token, and lines of a header; "" for
    none. Names of the machine and of the node are put into the labels by `of_node`.
    """

    url: str
    every: int = 10
    labels: Mapping[str, str] = {}
    name: str = ""
    basic: str = ""
    bearer: str = ""
    headers: str = ""
    tls: TlsClient = TlsClient()

    @property
    def label(self) -> str:
        """Return its name among the outputs."""
        parts = urlsplit(self.url)
        return f"remote-write:{self.name or parts.netloc + parts.path}"

    @property
    def has_node(self) -> bool:
        """Return whether a label has the name of the node."""
        return any(map(has_node, self.labels.values()))

    def of_node(self, node: str) -> RemoteTarget:
        """Return it with the names in its labels; an empty label is left out."""
        labels = {name: expand(value, node=node) for name, value in self.labels.items()}
        return msgspec.structs.replace(self, labels={name: value for name, value in labels.items() if value})

    def files(self) -> Iterator[tuple[str, str]]:
        """Return the keys that name files, and these."""
        for key, path in (("basic", self.basic), ("bearer", self.bearer), ("headers", self.headers)):
            if path:
                yield key, path
        for key in ("ca", "cert", "key"):
            if path := getattr(self.tls, key):
                yield key, path


def parse_remote_write(text: str) -> RemoteTarget:
    """Read ``URL[:key=value...]``; raises ``ValueError``."""
    url, *fields = _FIELD.split(text)
    given = arguments_of([_ESCAPED.sub(r"\1", field) for field in fields], _KEYS)
    parts = _checked(url)
    tls = TlsClient(*(given.pop(key, "") for key in ("ca", "cert", "key")))
    if tls != TlsClient() and parts.scheme != "https":
        raise ValueError("ca=, cert= and key= are for https URLs only")
    if bool(tls.cert) != bool(tls.key):
        raise ValueError("cert= and key= belong together")
    if "basic" in given and "bearer" in given:
        raise ValueError("basic= and bearer= are both given: a request has one Authorization")
    labels = _labels(given.pop("labels", ""))
    return RemoteTarget(url=url, every=_seconds(given.pop("every", "10")), labels=labels, tls=tls, **given)


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        found = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError as error:
        raise ValueError(f"{url!r} is not a URL: {error}") from None
    if not (found and _URL.fullmatch(url)):
        raise ValueError(f"{url!r} is not of the form http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the URL has a name or a password in it: put them into a file, and name it with basic=")
    if parts.fragment:
        raise ValueError(f"{url!r} has a fragment, which is never sent")
    return parts


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= LONGEST_SLOT):
        raise ValueError(f"every={text} is not a whole number of seconds from 1 to {LONGEST_SLOT}")
    return int(text)


def _labels(text: str) -> dict[str, str]:
    """Read ``name=value`` between commas, without putting names in; without a label of the node it is its name."""
    found: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if not equals or not _LABEL.fullmatch(name) or name.startswith("__"):
            raise ValueError(f"labels={part} is not of the form NAME=VALUE")
        if name in found:
            raise ValueError(f"labels={part}: {name} is given twice")
        if name == _BUCKET:
            raise ValueError(f"labels={part}: {name} is the label of the buckets of histograms")
        try:
            expand(value, node="")
        except ValueError as error:
            raise ValueError(f"labels={part}: {error}") from None
        found[name] = value
    return {NODE: "{node}", **found}
