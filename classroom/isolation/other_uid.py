"""Level 3, for root without Landlock and bubblewrap: a user that nobody is, in a room of its own.

The room (room.py) is made with mounts and namespaces, which takes the right to make them. Containers lack
that mostly; then it is only another user with limits, who can read what all users of the machine can, and
the level counts as safe only where the repository and the other submissions lie in a folder of root's
(`chmod 700`).
"""

from __future__ import annotations

from classroom.isolation.place import HERE, Missing, Place, Plan, closed_to_others, may

SYS_ADMIN = 21  # of capabilities(7)


def plan(place: Place) -> Plan:
    """Raises Missing where this is not root, or what is to be read can't be."""
    if place.uid is None:
        raise Missing("only root can give a submission another user id")
    if not may(SYS_ADMIN):
        if closed := closed_to_others([*place.readable(), place.command[3]]):
            raise Missing(f"other users may not read {closed}")
        return Plan(place.first(uid=place.uid))
    room = {
        "root": str(place.scratch.parent / "root"),
        "readable": [*place.readable(), str(HERE / "start.py")],
        "hidden": place.hidden(),
        "scratch": str(place.scratch),
    }
    return Plan(place.first(uid=place.uid), make_scratch=True, room=room)
