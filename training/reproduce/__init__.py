"""Trainings that can be done again with one command: the study's three, and the one behind the shipped models."""

from training.reproduce.phase import reproduce_phase
from training.reproduce.shipped import reproduce_shipped

__all__ = ["reproduce_phase", "reproduce_shipped"]
