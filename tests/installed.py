"""Tries an installation of the wheel: every program as a user runs it, with nothing of this checkout.

    ENVIRONMENT/bin/python -I tests/installed.py [RECORDING]

`-I` keeps this folder off the path. RECORDING shows at least one face; without it a film without faces is made.
"""

import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import av
import numpy as np

PROGRAMS = Path(sys.executable).parent


def main() -> None:
    """Raise an error at the first thing that does not work."""
    given = [str(Path(path).absolute()) for path in sys.argv[1:]]
    with tempfile.TemporaryDirectory(prefix="lp-") as folder:
        os.chdir(folder)
        os.environ.pop("PYTHONPATH", None)
        os.environ.pop("REDIS_URL", None)
        os.environ.update(HOME=folder, XDG_DATA_HOME=f"{folder}/data")
        modules = run("python", "-I", "-c", "import producer, worker; print(producer.__file__, worker.__file__)")
        assert modules.count("site-packages") == 2, modules
        run("worker", "run", "--help")
        events = run("producer", "ingest", *(given or [film(Path("film.mp4"))]), "--lecture", "tried", "--json")
        assert '"status":"done"' in events, events
        assert bool(given) == ('"type":"emotion"' in events), events
        run("producer", "report", "tried", "-o", "tried.html")
        for kind in ("csv", "parquet", "xlsx", "eaf", "vtt") if given else ("csv",):
            run("producer", "export", "tried", "-o", f"tried.{kind}")
        serve()
    report("everything works")


def run(program: str, *words: str) -> str:
    """What the installed program prints. Its own errors go to the terminal."""
    done = subprocess.run([PROGRAMS / program, *words], stdout=subprocess.PIPE, text=True, check=False)
    report(f"exit code {done.returncode}: {program} {' '.join(words)}")
    assert done.returncode == 0
    return done.stdout


def serve() -> None:
    """Open the page of all lectures, and the files that it loads."""
    command = (PROGRAMS / "producer", "serve", "--port", "0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            address = server.stdout.readline().strip()
            with urllib.request.urlopen(address) as page:
                files = re.findall(r'(?:src|href)="/?([^"#]+\.(?:js|css|svg))"', page.read().decode())
            assert files
            for file in files:
                urllib.request.urlopen(address + file).close()
        finally:
            server.terminate()
    report(f"{address} answers, and {len(files)} files that it loads")


def report(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def film(path: Path) -> str:
    """A film of two seconds without faces."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for i in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((360, 640, 3), 20 * i, np.uint8))))
        container.mux(stream.encode())
    return str(path)


if __name__ == "__main__":
    main()
