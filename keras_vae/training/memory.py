"""How much memory there is to train in."""

import os
import re
from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")


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
    most, used = (_text(group / f"memory.{name}") for name in ("max", "current"))
    if not (most.strip().isdigit() and used.strip().isdigit()):
        return None
    # What was read of files counts as used, and makes room when there is need.
    cached = re.findall(
        r"^(?:in)?active_file (\d+)$", _text(group / "memory.stat"), re.M
    )
    return max(0, int(most) - int(used) + sum(map(int, cached)))


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
