"""The accuracy of the models that made a lecture's events, if they are the models that come with this program.

Their manifest is in the worker's package, and its digest is the `model_version` of every event that they made.
"""

import hashlib
from importlib.resources import files
from typing import Any

import msgspec


class NetworkTest(msgspec.Struct, frozen=True):
    """One network of the manifest, measured on `n` pictures of the set `validation`."""

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
        """The share of the pictures whose label the network predicted, in the form that is shipped."""
        return float(self.figures["forms"][self.quantization]["accuracy"])


class EnsembleMetrics(msgspec.Struct, frozen=True):
    """Accuracy over all pictures, its mean over the seven emotions, and the expected calibration error, as shares."""

    accuracy: float
    macro_recall: float
    ece: float


class EnsembleTest(msgspec.Struct, frozen=True):
    """The ensemble, measured (and its weights fitted) on `n[i]` pictures of each set `validation[i]`."""

    date: str
    validation: list[str]
    n: list[int]
    figures: EnsembleMetrics


class ModelTests(msgspec.Struct, frozen=True):
    """The part of the manifest that says how the models were tested."""

    models: list[NetworkTest]
    ensemble: EnsembleTest


def shipped_model_tests(model_version: str) -> ModelTests | None:
    """The tests of the models of this version; None if they do not come with this program."""
    manifest = files("worker") / "models" / "manifest.json"
    try:
        content = manifest.read_bytes()
    except OSError:  # a producer that is installed without a worker's models
        return None
    if not model_version or not hashlib.sha256(content).hexdigest().startswith(model_version):
        return None
    return msgspec.json.decode(content, type=ModelTests)
