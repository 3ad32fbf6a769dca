"""From face data as it is published to one ready set: read, cut, cleaned, split, balanced and indexed."""

from training.preparation.preparation import Preparation, prepare
from training.preparation.prepared import Prepared

__all__ = ["Preparation", "Prepared", "prepare"]
