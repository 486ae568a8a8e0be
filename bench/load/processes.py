"""What groups of processes have used: CPU time and memory, from /proc."""

import os
from contextlib import suppress
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def _stat(pid: int | str) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def members(groups: list[int]) -> list[int]:
    """The processes in these process groups."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int(_stat(folder.name)[2]) in groups:
                found.append(int(folder.name))
    return found


def cpu_s(pids: list[int]) -> float:
    """CPU seconds these processes have used, their ended children included."""
    used = 0
    for pid in pids:
        with suppress(OSError):
            used += sum(int(ticks) for ticks in _stat(pid)[11:15])
    return used * _TICK_S


def memory_kb(pids: list[int]) -> int:
    """Memory these processes have for themselves, shared pages by their share (PSS)."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total
