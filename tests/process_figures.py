"""What a running process holds, as Linux tells it under /proc: memory, descriptors, threads."""

from __future__ import annotations

from pathlib import Path

ESTABLISHED = "01"


def family(pid: int) -> list[int]:
    """The process and its children, theirs included."""
    pids = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            pids += family(int(child))
    return pids


def resident_mb(pid: int) -> float:
    """Megabytes of memory in use, of the process and its children."""
    statuses = [Path(f"/proc/{one}/status").read_text() for one in family(pid)]
    return sum(int(status.split("VmRSS:")[1].split()[0]) for status in statuses) / 1000


def descriptors(pid: int) -> int:
    """How many descriptors are open, of the process and its children."""
    return sum(len(list(Path(f"/proc/{one}/fd").iterdir())) for one in family(pid))


def threads(pid: int) -> int:
    """How many threads of the system run, of the process and its children."""
    return sum(len(list(Path(f"/proc/{one}/task").iterdir())) for one in family(pid))


def connections_at(port: int) -> int:
    """How many clients are connected to a port of this machine."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return sum(one[1].endswith(f":{port:04X}") and one[3] == ESTABLISHED for one in fields)
