"""The class's mean, without showing what a single person displayed.

A mean over few people shows them, and so does the difference of two means: over nine people, and over eight of them a
moment later. So the mean is one over a *group*, which does not change when somebody comes, leaves or cannot be read:
their last scores stay in the mean. Another group takes its place only if all groups of the lecture together show nobody
(`shows_nobody`). docs/privacy.md has the reasons, and what can still be learnt.
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from msgspec import Struct

from worker.outcome import ScoreVector

# Seconds for which people are gathered before they form a group, so that nobody is left out for a moment's blur.
GATHER_S = 3.0

# Somebody who was not read for this long is gone.
GONE_S = 60.0

# If more of the group are gone, its mean is not the class's any more.
MOST_GONE = 0.5

# Rounding errors of the leverage.
EXACT = 1e-9


class Group(Struct, frozen=True):
    """What is carried from frame to frame.

    `members` are the ids of those who count, `groups` all that ever counted. `latest` has the last scores of members
    and of those who may become one, `read` the seconds of media time at which they were read. `gathering` is the time
    since which others may become members; None before there were enough of them.
    """

    members: list[str] = []
    groups: list[list[str]] = []
    latest: dict[str, ScoreVector] = {}
    read: dict[str, float] = {}
    gathering: float | None = None


def advance_group(
    group: Group, read: Mapping[str, ScoreVector], t: float, smallest: int
) -> tuple[Group, ScoreVector | None]:
    """The group after a frame at `t` seconds in which these people were `read`, and the mean to publish.

    The mean is None if fewer than `smallest` members were read in this frame, or most of them are gone.
    """
    latest, seen = {**group.latest, **read}, {**group.read, **dict.fromkeys(read, t)}
    members, groups, gathering = group.members, group.groups, group.gathering
    if gathering is None and len(read) >= smallest:
        gathering = t
    if gathering is not None and t - gathering >= GATHER_S:
        gathering = t
        members = _regrouped(group, seen, t, smallest)
        groups = groups if members in groups or not members else [*groups, members]
    kept = {who for who, at in seen.items() if who in members or t - at <= GATHER_S}
    after = msgspec.structs.replace(
        group,
        members=members,
        groups=groups,
        latest={who: latest[who] for who in sorted(kept)},
        read={who: seen[who] for who in sorted(kept)},
        gathering=gathering,
    )
    gone = sum(t - seen[who] > GONE_S for who in members)
    if sum(who in read for who in members) < smallest or gone > MOST_GONE * len(members):
        return after, None
    a, b, c, d, e, f, g = np.mean([latest[who] for who in members], axis=0).tolist()
    return after, (a, b, c, d, e, f, g)


def _regrouped(group: Group, seen: Mapping[str, float], t: float, smallest: int) -> list[str]:
    """The members after enough others have come, or enough are gone; the same if neither is allowed.

    Not both at once: somebody who comes back with another id would count as a person who came and one who is gone.
    """
    come = [who for who, at in seen.items() if who not in group.members and t - at <= GATHER_S]
    gone = [who for who in group.members if t - seen[who] > GONE_S]
    for changed in (come, gone):
        members = sorted(set(group.members) ^ set(changed))
        if len(changed) >= smallest and shows_nobody([*group.groups, members], smallest):
            return members
    return group.members


def shows_nobody(groups: Sequence[Sequence[str]], smallest: int) -> bool:
    """Whether the exact means of all these groups, however they are combined, show nobody's scores.

    They do not if everybody's leverage is at most 1 / `smallest`: the share of the variance of a person's scores that
    the best linear estimate from the means explains (Hoaglin and Welsch, The hat matrix in regression and ANOVA, 1978).
    For one group of n people it is 1 / n, and for two groups that differ by n people 1 / n of these.
    """
    people = sorted({who for group in groups for who in group})
    if not people:
        return False
    within = np.array([[who in set(group) for who in people] for group in groups], float)
    _, sizes, directions = np.linalg.svd(within, full_matrices=False)
    leverage = (directions[sizes > EXACT * sizes[0]] ** 2).sum(axis=0)
    return bool(leverage.max() <= 1 / smallest + EXACT)
