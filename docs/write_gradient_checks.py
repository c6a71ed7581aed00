"""`make gradient-checks`: puts what `rhohat check-gradient --all` prints into gradient-checks.md."""

import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parent / "gradient-checks.md"
INTRODUCTION = """# Every gradient, checked

What `rhohat check-gradient --all` prints, put here by `make gradient-checks`. A row is a model: its architecture, where
"dense" is a chain of fully connected layers and all others are listed in `src/rhohat/checking/architectures.py` or, if
they have recurrent layers, in `sequences.py` beside it ("per_step" means a target for each step, and "padded" means
sequences of unequal length, some steps of which have no target); the activation of its hidden layers that have weights;
its loss; the penalties that are added; whether the decoder's weights are tied to the encoder's; how many hidden layers
it has, pooling and upsampling counted; how its input is corrupted; and how many parameters it has. "Gradient" is the
relative difference ‖numerical − analytical‖ / ‖numerical + analytical‖ between the gradient and central differences of
the cost, with a step of 1e-4, or of 3e-5 for recurrent layers, whose gradient changes faster; more than 1e-8 fails the
command, and the tests. "Hessian · v" is the same of a Hessian-vector product beside central differences of the
gradient. The tests compare every row with an automatic differentiation of an independent implementation as well, to
1e-10 (`tests/checking/test_proofs.py`).

"""


def main() -> None:
    command = [sys.executable, "-m", "rhohat", "check-gradient", "--all"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    PAGE.write_text(INTRODUCTION + printed, encoding="utf-8")


if __name__ == "__main__":
    main()
