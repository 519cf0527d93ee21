"""The machine that computes: what a result may depend on although it should not."""

import os
import platform
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path

from pipeline.execution.fingerprint import ARITHMETIC
from pipeline.results import made_on

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")  # of the first core, on Linux
INSTRUCTIONS = ("avx", "avx2", "fma", "avx512f", "amx_tile")  # by which libraries choose their kernels


@cache
def description() -> dict[str, str]:
    """Return name -> processor, caches, cores, system, versions and arithmetic flags; no name of a host or a user."""
    cpu = _cpuinfo()
    instructions = [name for name in INSTRUCTIONS if name in cpu.get("flags", "").split()]
    return {
        "processor": _processor(cpu),
        "instructions": " ".join(instructions) or platform.machine(),
        "caches": _caches() or "unknown",
        "cores": str(os.cpu_count()),
        "system": " ".join((platform.system(), *platform.libc_ver())).strip(),
        "python": platform.python_version(),
        **made_on.versions(),
        **{name: _without_paths(os.environ.get(name, "")) for name in ARITHMETIC},
    }


def of_workers(cluster: str | None) -> dict[str, str]:
    """Return the description of the machine whose cores compute; empty with a cluster, whose machines may differ."""
    return {} if cluster else description()


def _without_paths(flags: str) -> str:
    """Return flags without those that name a file, such as where XLA dumps a program: paths can name a user."""
    return " ".join(flag for flag in flags.split() if "/" not in flag and "\\" not in flag)


def _cpuinfo() -> dict[str, str]:
    """Return what Linux says of the first core."""
    with suppress(OSError):
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
        pairs = (line.partition(":") for line in first.splitlines())
        return {name.strip(): value.strip() for name, _, value in pairs}
    return {}


def _processor(cpu: dict[str, str]) -> str:
    """Return the processor's name and, on x86 under Linux, its numbers: a cloud's names are short."""
    if "model name" in cpu:
        numbers = [f"{name.split()[-1]} {cpu[name]}" for name in ("cpu family", "model", "stepping") if name in cpu]
        return f"{cpu['model name']} ({', '.join(numbers)})" if numbers else cpu["model name"]
    return _sysctl("machdep.cpu.brand_string") or platform.processor() or platform.machine()


def _caches() -> str:
    """Return the sizes of the data caches of a core, such as "L1 32K, L2 1024K, L3 32768K"; empty if unknown."""
    with suppress(OSError):
        found = [[(path / name).read_text().strip() for name in ("type", "level", "size")] for path in _cache_folders()]
        return ", ".join(f"L{level} {size}" for kind, level, size in found if kind != "Instruction")
    sizes = {level: _sysctl(f"hw.{name}cachesize") for level, name in (("L1", "l1d"), ("L2", "l2"), ("L3", "l3"))}
    return ", ".join(f"{level} {size}" for level, size in sizes.items() if size)


def _cache_folders() -> list[Path]:
    return sorted(path for path in CACHES.iterdir() if path.name.startswith("index"))


def _sysctl(name: str) -> str:
    """Return a value of the macOS kernel; empty on another system."""
    if platform.system() != "Darwin":
        return ""
    return subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, check=False).stdout.strip()
