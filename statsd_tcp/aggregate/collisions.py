"""Series that an output cannot tell apart, because it has fewer characters for names than clients have.

Of two points at one path and time carbon keeps the later, so that the other series would be lost. What such series
amount to together is worked out when a flush is closed: afterwards the values and members are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import filterfalse
from typing import Literal, NamedTuple, get_args

import msgspec

__all__ = ["GROUPS", "Collision", "Group", "PathNames", "collisions"]

Group = Literal["counters", "gauges", "sets", "timers"]
"""What the series of a flush are told apart by."""

GROUPS: tuple[Group, ...] = get_args(Group)


class PathNames(NamedTuple):
    """How an output writes series: ``path`` gives its name for an identity.

    Most identities are plain: ``is_plain`` says so of those whose name is only written for them among the plain ones,
    and ``plain`` gives the identity of such a name. So only the others need to be looked at.
    """

    is_plain: Callable[[str], object]
    path: Callable[[str], str]
    plain: Callable[[str], str]


class Collision(msgspec.Struct, frozen=True, array_like=True):
    """The series of one kind that are written under one name, and what they are together: a number, or a timer's."""

    kind: Group
    members: tuple[str, ...]
    value: int | float | dict[str, float]


def collisions(
    path_names: PathNames, identities: Mapping[str, object], odd: Iterable[str] | None = None
) -> Iterator[tuple[str, ...]]:
    """Yield the groups of identities, of two and more, that are written alike; a plain one comes first.

    ``odd`` are those among them that are not plain, if that is known.
    """
    groups: dict[str, list[str]] = {}
    for identity in filterfalse(path_names.is_plain, identities) if odd is None else odd:
        groups.setdefault(path_names.path(identity), []).append(identity)
    for name, members in groups.items():
        plain = path_names.plain(name)
        if plain in identities and path_names.is_plain(plain):
            members.insert(0, plain)
        if len(members) > 1:
            yield tuple(members)
