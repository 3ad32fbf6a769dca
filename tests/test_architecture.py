"""The directions of imports, which are promises, and what importing costs."""

import pkgutil
import subprocess
import sys
from importlib.util import find_spec

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

PURE_CONTRACT = ("keys", "messages", "lecture_hash", "streams", "jobs", "lifetimes", "limits", "environment")
HEAVY = ("ai_edge_litert", "tflite_runtime", "mediapipe", "tensorflow", "keras", "jax", "torch")


@pytest.mark.parametrize(
    "module",
    [
        "worker.contract",
        "worker.contract.connection, worker.contract.queue",
        "producer",
        "producer.cli",
        "producer.feeding.decoding.decoder",
    ],
)
def test_the_contract_and_the_producer_load_no_model_runtime(module: str) -> None:
    loaded = _loaded_by(f"import {module}")
    assert loaded.isdisjoint(HEAVY)


def test_the_decoders_process_loads_neither_redis_nor_metrics() -> None:
    loaded = _loaded_by("import producer.feeding.decoding.decoder")
    assert "av" in loaded, "the check would see what a decoder loads"
    assert loaded.isdisjoint(("redis", "rq", "prometheus_client", "typer"))


def test_a_worker_process_and_evaluation_load_neither_tensorflow_nor_mediapipe() -> None:
    loaded = _loaded_by(
        "import worker.running.process, worker.running.supervisor, training.cli, training.measuring.evaluation"
    )
    assert "ai_edge_litert" in loaded, "the check would see a heavy module"
    assert loaded.isdisjoint(("mediapipe", "tensorflow", "keras", "jax", "torch"))


@pytest.mark.parametrize(
    "package",
    [
        *(f"worker.contract.{name}" for name in PURE_CONTRACT),
        "worker.outcome",
        "worker.folding",
        "producer.presentation",
        "producer.reading.analysis",
    ],
)
def test_the_pure_middle_loads_no_server_no_pixels_and_no_model(package: str) -> None:
    spec = find_spec(package)
    assert spec is not None
    inside = [each.name for each in pkgutil.walk_packages(spec.submodule_search_locations or [], f"{package}.")]
    loaded = _loaded_by(f"import {', '.join([package, *inside])}")
    assert loaded.isdisjoint({*HEAVY, "redis", "rq", "prometheus_client", "cv2", "PIL", "pyarrow", "altair", "rich"})


def test_imports_run_one_way() -> None:
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS


def _loaded_by(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())
