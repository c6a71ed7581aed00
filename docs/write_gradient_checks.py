"""`make gradient-checks`: puts what `rhohat check-gradient --all` prints into gradient-checks.md."""

import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parent / "gradient-checks.md"
INTRODUCTION = """# Gradient checks

`rhohat check-gradient --all` prints this table, and `make gradient-checks` writes it to this page. Each row is a
model, with

- its architecture: "dense" is a chain of fully connected layers. The others are listed in
  `src/rhohat/checking/architectures.py` and, for recurrent layers, in `sequences.py` in the same folder. "per_step"
  means that each step has a target, and "padded" means that the sequences have unequal lengths and some steps have
  no target;
- the activation of its hidden layers that have weights, its loss, and its penalties;
- whether the weights of the decoder are tied to those of the encoder;
- the number of its hidden layers, including pooling and upsampling;
- the corruption of its input, and the number of its parameters.

The column "gradient" has the relative difference ‖numerical − analytical‖ / ‖numerical + analytical‖ between the
gradient and central differences of the cost. The step of the differences is 1e-4, or 3e-5 for recurrent layers,
whose gradient changes faster. If the relative difference is more than 1e-8, the command and the tests fail. The
column "Hessian · v" compares a Hessian-vector product with central differences of the gradient in the same way. The
tests also compare every row with an automatic differentiation of an independent implementation, to 1e-10
(`tests/checking/test_proofs.py`).

"""


def main() -> None:
    command = [sys.executable, "-m", "rhohat", "check-gradient", "--all"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    PAGE.write_text(INTRODUCTION + printed, encoding="utf-8")


if __name__ == "__main__":
    main()
