"""The function that is minimised: the cost J(θ) of a network on rows of data, computed as sums over blocks of rows."""

from rhohat.objective.objective import Objective, make_objective
from rhohat.objective.problem import Problem, check_tangents

__all__ = ["Objective", "Problem", "check_tangents", "make_objective"]
