"""The beginning of scripts that measure the peak of their own memory, in processes of their own."""

PEAK = """
import re, resource, sys, warnings
from pathlib import Path
import numpy as np
import rhohat

warnings.simplefilter("ignore")

def peak():
    status = Path("/proc/self/status")
    if status.exists():  # on Linux, the other starts at the peak of the process that this one was started by
        return 1024 * int(re.search(r"VmHWM:\\s*(\\d+)", status.read_text())[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
"""
