"""The directions of imports, which are promises, and what importing costs."""

import pkgutil
import subprocess
import sys
from importlib.util import find_spec

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

PURE_CONTRACT = (
    *("keys", "messages", "lecture_hash", "streams", "jobs", "lifetimes", "limits", "environment", "cores", "usual"),
)
TRAINING_ONLY = ("mediapipe", "tensorflow", "keras", "jax", "torch")
HEAVY = (*TRAINING_ONLY, "ai_edge_litert", "tflite_runtime")
NOT_AT_THE_COMMAND_LINE = (*HEAVY, "cv2", "av", "pyarrow", "numpy")
NOT_IN_THE_MIDDLE = (*HEAVY, "redis", "rq", "prometheus_client", "cv2", "PIL", "pyarrow", "altair", "rich")


@pytest.mark.parametrize(
    ("modules", "needed", "forbidden"),
    [
        ("worker.contract.connection, worker.contract.queue, producer", "redis", HEAVY),
        ("producer.cli", "typer", NOT_AT_THE_COMMAND_LINE),
        ("producer.feeding.decoding.decoder", "av", (*HEAVY, "redis", "rq", "prometheus_client", "typer")),
        (
            "worker.running.process, worker.running.supervisor, training.cli, training.measuring.evaluation",
            "ai_edge_litert",
            TRAINING_ONLY,
        ),
    ],
)
def test_programs_load_no_heavy_package_that_they_do_not_need(
    modules: str, needed: str, forbidden: tuple[str, ...]
) -> None:
    loaded = _loaded_by(f"import {modules}")
    assert needed in loaded, "the check would see a package"
    assert loaded.isdisjoint(forbidden)


def test_the_pure_middle_loads_no_server_no_pixels_and_no_model() -> None:
    packages = [f"worker.contract.{name}" for name in PURE_CONTRACT]
    packages += ["worker.outcome", "worker.folding", "producer.presentation", "producer.reading.analysis"]
    for package in list(packages):
        spec = find_spec(package)
        assert spec is not None
        inside = pkgutil.walk_packages(spec.submodule_search_locations or [], f"{package}.")
        packages += [each.name for each in inside]
    assert _loaded_by(f"import {', '.join(packages)}").isdisjoint(NOT_IN_THE_MIDDLE)


def test_imports_run_one_way() -> None:
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS


def _loaded_by(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())
