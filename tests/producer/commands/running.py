"""Run commands of the producer as processes, and read what they print."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import av


def started(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "producer", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ran(*words: object) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    with started(*words) as process:
        out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def events(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def as_matroska(video: Path, path: Path) -> Path:
    """The same pictures in a container that can be read when it is truncated."""
    with av.open(str(video)) as source, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    return path
