"""What is minimised: J(θ) of a network on rows, as sums over blocks of them."""

from rhohat.objective.objective import Objective, make_objective
from rhohat.objective.problem import Problem, check_tangents

__all__ = ["Objective", "Problem", "check_tangents", "make_objective"]
