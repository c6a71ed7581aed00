"""Who computes the sums over blocks of rows: threads of this process."""

from rhohat.engines.threads import ThreadEngine

__all__ = ["ThreadEngine"]
