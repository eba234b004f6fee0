"""How much memory there is to train in."""

import os
import re
from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")


def available() -> int | None:
    """Returns the bytes of main memory that a process can still take.

    It is the least of what the system has free and what a container leaves; where the
    system does not say (not Linux), all the memory it has, or None.
    """
    found = [_free(), _left_in_group()]
    known = [value for value in found if value is not None]
    return min(known) if known else _all()


def _free() -> int | None:
    match = re.search(r"MemAvailable:\s+(\d+) kB", _text(Path("/proc/meminfo")))
    return int(match[1]) * 1024 if match else None


def _left_in_group() -> int | None:
    most, used = (_text(_GROUP / f"memory.{name}") for name in ("max", "current"))
    if not (most.strip().isdigit() and used.strip().isdigit()):
        return None
    return max(0, int(most) - int(used))


def _all() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
