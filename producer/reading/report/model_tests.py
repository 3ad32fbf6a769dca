"""How the models of a lecture were tested, as far as this program knows.

It knows of those that come with it: their manifest lies in the worker's package, and its digest is the `model_version`
of every event they made. Of any other models it says nothing.
"""

import hashlib
from importlib.resources import files
from typing import Any

import msgspec


class Network(msgspec.Struct, frozen=True):
    """One network: the share of the `n` pictures of the set `validation` of which it read the label."""

    name: str
    weight: float
    quantization: str
    figures: dict[str, Any]

    @property
    def n(self) -> int:
        return int(self.figures["n"])

    @property
    def validation(self) -> str:
        return str(self.figures["validation"])

    @property
    def accuracy(self) -> float:
        return float(self.figures["forms"][self.quantization]["accuracy"])


class Figures(msgspec.Struct, frozen=True):
    """Of the ensemble: shares of pictures read right, over all and on average over the seven; and of calibration."""

    accuracy: float
    macro_recall: float
    ece: float


class Ensemble(msgspec.Struct, frozen=True):
    """The ensemble and the sets that it was measured on (and its weights fitted), `n[i]` pictures of each."""

    date: str
    validation: list[str]
    n: list[int]
    figures: Figures


class Tested(msgspec.Struct, frozen=True):
    """What the manifest says of tests."""

    models: list[Network]
    ensemble: Ensemble


def how_tested(model_version: str) -> Tested | None:
    """The tests of the models with this version; None where they are not those that come with this program."""
    manifest = files("worker") / "models" / "manifest.json"
    try:
        written = manifest.read_bytes()
    except OSError:  # a producer installed without a worker's models
        return None
    if not model_version or not hashlib.sha256(written).hexdigest().startswith(model_version):
        return None
    return msgspec.json.decode(written, type=Tested)
