"""Which instructions a run may use, and whether other processes use the cores that it needs."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

__all__ = ["AVX2", "busy_processes", "instructions"]

#: Environment variables that keep every library to AVX2, as if the processor had nothing later.
AVX2 = {
    "RHOHAT_BENCH_INSTRUCTIONS": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",  # PyTorch's own loops
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR X86_V4",
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+64bit,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16,+cmov,+fxsr,+mmx,+avx,+avx2,+fma,"
    "+f16c,+bmi,+bmi2,+lzcnt,+movbe,+xsave",
    # JAX computes float32 products by YNNPACK, which heeds no limit; without YNNPACK, they keep to it.
    "XLA_FLAGS": "--xla_cpu_max_isa=AVX2 --xla_cpu_experimental_ynn_fusion_type=",
}

#: The instructions for vectors that make a difference, the widest first, by the name of the flag that Linux gives them.
_FLAGS = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "sse2": "SSE2", "sve": "SVE", "asimd": "NEON"}

#: Part of a core from which a process is in the way, and seconds during which processes are watched.
_BUSY = 0.5
_WATCHED = 0.5


def instructions() -> str:
    """Return the widest instructions for vectors that the libraries of this run may use."""
    described = Path("/proc/cpuinfo")
    flags = set(described.read_text().split()) if described.exists() else set()
    widest = next((name for flag, name in _FLAGS.items() if flag in flags), platform.machine())
    limit = os.environ.get("RHOHAT_BENCH_INSTRUCTIONS")
    return f"{limit} (of {widest})" if limit and limit != widest else widest


def busy_processes() -> list[str]:
    """Return the processes that keep half a core or more busy, apart from this one, as this system tells it."""
    before = _seconds_of_processes()
    time.sleep(_WATCHED)
    after = _seconds_of_processes()
    busy = {
        process: (seconds - before[process][0]) / _WATCHED
        for process, (seconds, _) in after.items()
        if process in before and process != os.getpid()
    }
    return [f"{process} ({after[process][1]})" for process, share in busy.items() if share >= _BUSY]


def _seconds_of_processes() -> dict[int, tuple[float, str]]:
    """Return the seconds of processor time that each process has taken, and its name, where /proc tells them."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, _, numbers = (folder / "stat").read_text().partition("(")[2].rpartition(")")
        except OSError:  # it has ended meanwhile
            continue
        fields = numbers.split()
        found[int(folder.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), name
    return found
