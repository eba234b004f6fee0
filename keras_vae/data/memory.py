"""How much memory there is, for data and for training."""

import os
import re
from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")
_FILES = (  # of control groups, version 2 and 1: the limit, what is used, and of what
    ("memory.max", "memory.current", "memory.stat"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
    ),
)


def available(group: Path = _GROUP) -> int | None:
    """Returns the bytes of main memory that a process can still take.

    It is the least of what the system has free and what a container leaves; where the
    system does not say (not Linux), all the memory it has, or None.

    Args:
        group: The folder of the container's control group, where there is one.
    """
    found = [_free(), _left_in_group(group)]
    known = [value for value in found if value is not None]
    return min(known) if known else _all()


def _free() -> int | None:
    match = re.search(r"MemAvailable:\s+(\d+) kB", _text(Path("/proc/meminfo")))
    return int(match[1]) * 1024 if match else None


def _left_in_group(group: Path) -> int | None:
    for most, used, stat in _FILES:
        limit, taken = (_text(group / name).strip() for name in (most, used))
        if limit.isdigit() and taken.isdigit():
            # What was read of files counts as used, and makes room when there is need.
            cached = re.findall(
                r"^(?:in)?active_file (\d+)$", _text(group / stat), re.M
            )
            return max(0, int(limit) - int(taken) + sum(map(int, cached)))
    return None


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
