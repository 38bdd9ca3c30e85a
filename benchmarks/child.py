"""Runs a qcgen command in a process of its own and tells what it took."""

import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


def run_qcgen(arguments: Sequence[str], folder: Path) -> dict[str, float]:
    """Wall seconds with start-up, processor seconds, peak resident MiB.

    Raises:
        CalledProcessError: the command ended with more than findings (exit code 1).
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "qcgen.cli.main", *arguments]
    peak_kib = 0
    started = time.perf_counter()
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # The system's own ru_maxrss would start at this process's size.
    while child.poll() is None:
        peak_kib = max(peak_kib, high_water(child.pid))
        time.sleep(0.02)
    seconds = time.perf_counter() - started
    if child.returncode > 1:
        raise subprocess.CalledProcessError(child.returncode, command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "seconds": round(seconds, 2),
        "processor_seconds": round(processor, 2),
        "peak_mib": round(peak_kib / 1024),
    }


def high_water(pid: int) -> int:
    """VmHWM in KiB, the process's own peak since it began; 0 once the process is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0
