"""The directions of imports, which are promises, and what importing costs."""

import subprocess
import sys

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

HEAVY = ("ai_edge_litert", "tflite_runtime", "mediapipe", "tensorflow", "keras", "jax", "torch")


@pytest.mark.parametrize(
    "module", ["worker.contract", "worker.contract.server", "producer", "producer.cli", "producer.feeding.decoder"]
)
def test_the_contract_and_the_producer_load_no_model_runtime(module: str) -> None:
    loaded = _loaded_by(f"import {module}")
    assert loaded.isdisjoint(HEAVY)


def test_a_worker_process_and_evaluation_load_neither_tensorflow_nor_mediapipe() -> None:
    loaded = _loaded_by(
        "import worker.running.process, worker.running.supervisor, training.cli, training.measuring.evaluation"
    )
    assert "ai_edge_litert" in loaded, "the check would see a heavy module"
    assert loaded.isdisjoint(("mediapipe", "tensorflow", "keras", "jax", "torch"))


def test_imports_run_one_way() -> None:
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS


def _loaded_by(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())
