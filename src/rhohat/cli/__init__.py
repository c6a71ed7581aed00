"""The command line: each command parses, calls the Python API, and prints."""

from rhohat.cli.app import app
from rhohat.cli.demo import demo
from rhohat.cli.gradients import check_gradient
from rhohat.cli.looking import evaluate, info, plot, report
from rhohat.cli.patches import patches
from rhohat.cli.training import train
from rhohat.cli.using import encode, predict, reconstruct

__all__ = [
    "app",
    "check_gradient",
    "demo",
    "encode",
    "evaluate",
    "info",
    "patches",
    "plot",
    "predict",
    "reconstruct",
    "report",
    "train",
]
