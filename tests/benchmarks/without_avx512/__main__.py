"""Run a benchmark as on a processor without AVX-512, VNNI and AMX: its programs see AVX2 at most.

    python -m tests.benchmarks.without_avx512 peer --repeats 3 --images KDEF --peer-python peer/bin/python

LiteRT has no switch for this. So in each Python process the instructions by which LiteRT asks the processor are
replaced (hide.c). NumPy, OpenCV, oneDNN and PyTorch, which `fer` needs, have variables for it. Needs gcc and objdump,
and a processor with AVX-512; on one without, run the benchmark itself.
"""

import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tests.benchmarks.ruler import WITHOUT_AVX512
from tests.benchmarks.without_avx512.sitecustomize import LIBRARY

HERE = Path(__file__).parent
SWITCHES = {
    "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL",
    "OPENCV_CPU_DISABLE": "AVX512-SKX",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        _compile(Path(folder))
        path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH") or str(Path.cwd())])
        environment = {**os.environ, **SWITCHES, "PYTHONPATH": path, WITHOUT_AVX512: folder}
        command = [sys.executable, "-m", f"tests.benchmarks.{sys.argv[1]}", *sys.argv[2:]]
        sys.exit(subprocess.run(command, env=environment, check=False).returncode)


def _compile(folder: Path) -> None:
    """Compile `hide.c`, and note the places of the instructions in the library."""
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", folder / "hide.so", HERE / "hide.c"], check=True)
    found = find_spec("ai_edge_litert")
    assert found is not None
    assert found.origin is not None
    library = Path(found.origin).parent / LIBRARY
    listing = subprocess.run(["objdump", "-d", "--no-show-raw-insn", library], capture_output=True, check=True).stdout
    places = re.findall(rb"^ *([0-9a-f]+):\s+(cpuid|xgetbv)\b", listing, re.MULTILINE)
    (folder / "places").write_bytes(b"".join(b"%b %b\n" % place for place in places))


if __name__ == "__main__":
    main()
