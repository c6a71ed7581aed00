"""The command line: each command parses its options, calls the Python API, and prints the result."""

from rhohat.cli.app import app
from rhohat.cli.converting import convert
from rhohat.cli.demo import demo
from rhohat.cli.describing import info
from rhohat.cli.gradients import check_gradient
from rhohat.cli.harvesting import harvest
from rhohat.cli.looking import evaluate, plot
from rhohat.cli.matching import match
from rhohat.cli.patches import patches
from rhohat.cli.probing import probe
from rhohat.cli.reporting import report
from rhohat.cli.scoring import score
from rhohat.cli.training import train
from rhohat.cli.using import encode, predict, reconstruct

__all__ = [
    "app",
    "check_gradient",
    "convert",
    "demo",
    "encode",
    "evaluate",
    "harvest",
    "info",
    "match",
    "patches",
    "plot",
    "predict",
    "probe",
    "reconstruct",
    "report",
    "score",
    "train",
]
