"""Whole trainings in one command: the study's three, and that of the shipped models. They combine the other rooms."""

from training.reproduce.phase import reproduce_phase
from training.reproduce.shipped import reproduce_shipped

__all__ = ["reproduce_phase", "reproduce_shipped"]
