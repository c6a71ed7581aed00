"""What pytest leaves out on machines for which the extra `dev` installs no Triton."""

import platform
import sys

collect_ignore_glob = []
if (sys.platform, platform.machine()) != ("linux", "x86_64"):
    collect_ignore_glob = [
        "src/rhohat/ops/triton_kernels/*",
        "tests/ops/test_triton_kernels.py",
        "tests/ops/compiling_*",
    ]
