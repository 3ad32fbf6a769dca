"""The steps of deploy/Dockerfile in clean Debian roots, for a machine without a container engine.

    python -m tests.deploy.image FOLDER VIDEO

Needs root, Debian's debootstrap and redis-server, and the network. It replaces the image `python:3.11-slim-bookworm` by
a minimal Debian bookworm with Debian's own Python 3.11. Then it executes the COPY and RUN steps of the Dockerfile, and
runs `worker run` and `producer ingest VIDEO` in the result: as user 10001, without capabilities, with only a small
writable /tmp, and with a redis-server that has the arguments of compose.yaml. It prints the results.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from tests.deploy.manifests import DEPLOY, ROOT, compose
from tests.streams import free_port

PACKAGES = ("python3.11-venv ca-certificates", "python3.11-minimal libpython3.11-stdlib")
"""For the two stages: with and without pip."""

NOBODY = "10001"
"""The user of the Dockerfile."""

REGISTRIES = ("SSL_CERT_FILE", "PIP_CERT", "PIP_INDEX_URL", "HTTP_PROXY", "HTTPS_PROXY")
"""Variables of this machine's environment that pip and apt need to reach their registries."""


def main() -> None:
    """Build, run, and print the results."""
    folder, video = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    stages = _stages()
    roots = [_debian(folder / f"stage{number}", packages) for number, packages in enumerate(PACKAGES)]
    for root, steps in zip(roots, stages, strict=True):
        for verb, words in steps:
            _do(verb, words, root, roots[0])
    _say(f"image: {_megabytes(roots[1] / 'opt'):.0f} MB in /opt, {_megabytes(roots[1]):.0f} MB in all")
    _run(roots[1], folder, video)


def _stages() -> list[list[tuple[str, str]]]:
    """The Dockerfile's COPY, RUN and WORKDIR steps, stage by stage."""
    text = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", (DEPLOY / "Dockerfile").read_text()))
    stages: list[list[tuple[str, str]]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        verb, _, words = line.partition(" ")
        if verb == "FROM":
            stages.append([])
        elif verb in ("COPY", "RUN", "WORKDIR"):
            stages[-1].append((verb, words))
    return stages


def _debian(root: Path, packages: str) -> Path:
    """A minimal Debian with these packages, without recommended ones."""
    if not (root / "etc").exists():
        command = ["debootstrap", "--variant=minbase", "bookworm", str(root)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    _sh(root, f"apt-get -q update && apt-get -q install --yes --no-install-recommends {packages}")
    python = root / "usr/local/bin/python"
    python.unlink(missing_ok=True)
    python.symlink_to("/usr/bin/python3.11")
    return root


def _do(verb: str, words: str, root: Path, build: Path) -> None:
    _say(f"{root.name}: {verb} {words}")
    if verb == "WORKDIR":
        (root / words.lstrip("/")).mkdir(parents=True, exist_ok=True)
    elif verb == "COPY" and words.startswith("--from=build"):
        _, source, target = words.split()
        shutil.copytree(build / source.lstrip("/"), root / target.lstrip("/"), symlinks=True, dirs_exist_ok=True)
    elif verb == "COPY":
        *sources, target = words.split()
        for source in sources:
            place = root / "src" / (source if target == "./" else target)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, place)
    else:
        _sh(root, f"cd /src 2> /dev/null || cd /; {words}")


def _sh(root: Path, script: str) -> None:
    """Run a script in a root, with this machine's access to the registries."""
    for file in ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt"):
        (root / file.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, root / file.lstrip("/"))
    given = {name: os.environ[name] for name in REGISTRIES if name in os.environ}
    given |= {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PIP_NO_CACHE_DIR": "1"}
    with _mounted(root):
        subprocess.run(["chroot", str(root), "sh", "-ec", script], check=True, env=given, stdout=sys.stderr)


@contextmanager
def _mounted(root: Path) -> Iterator[None]:
    subprocess.run(["mount", "--bind", "/dev", str(root / "dev")], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", str(root / "proc")], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(root / "proc"), str(root / "dev")], check=True)


def _run(root: Path, folder: Path, video: Path) -> None:
    """A worker and a producer in the image, with a Redis as compose.yaml starts it."""
    shutil.copytree(DEPLOY, folder / "deploy", dirs_exist_ok=True)
    shutil.rmtree(folder / "deploy/secrets", ignore_errors=True)
    subprocess.run([sys.executable, str(folder / "deploy/passwords.py")], check=True, stdout=subprocess.DEVNULL)
    secrets, data, port = folder / "deploy/secrets", folder / "data", free_port()
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir()
    places = {"/run/secrets/users.acl": str(secrets / "users.acl"), "/data": str(data)}
    server = [places.get(word, word) for word in compose()["services"]["redis"]["command"]]
    with subprocess.Popen([*server, "--port", str(port), "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL) as keeper:
        metrics = free_port()
        words = compose()["services"]["worker"]["command"]
        words = ["127.0.0.1" if word == "0.0.0.0" else str(metrics) if word == "9108" else word for word in words]
        worker = _inside(root, words, _url(secrets / "worker.env", port))
        try:
            _say(f"healthz: {_healthz(metrics)}")
            words = ["producer", "ingest", "/mnt/lecture", "--lecture", "image", "--json"]
            done = _inside(root, words, _url(secrets / "producer.env", port), video, subprocess.PIPE)
            said, _ = done.communicate(timeout=300)
            events = [json.loads(line) for line in said.splitlines()]
            _say(
                f"ingest: exit code {done.returncode}, {len(events)} events, the last: {events[-1] if events else None}"
            )
            (folder / "events.jsonl").write_text(said)
            page = urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=10).read().decode()
            _say("metrics: " + re.findall(r"(?m)^lecturepulse_frames_published_total .*$", page)[0])
        finally:
            worker.terminate()
            worker.wait(timeout=120)
            _say(f"worker: exit code {worker.returncode}")
            keeper.terminate()


def _inside(
    root: Path, words: list[str], url: str, video: Path | None = None, out: int | None = None
) -> "subprocess.Popen[str]":
    """A command in the image, in its own mount namespace: all read-only, except a small /tmp in memory."""
    steps = [
        "mount --bind $root $root",
        "mount -t proc proc $root/proc",
        "mount -t tmpfs -o size=64m tmpfs $root/tmp",
        "mount -t tmpfs -o size=1m,mode=755 tmpfs $root/dev",
        "mknod -m 666 $root/dev/null c 1 3",
        "mknod -m 666 $root/dev/urandom c 1 9",
        "mkdir $root/dev/shm",
        "mount -t tmpfs -o size=64m,mode=1777 tmpfs $root/dev/shm",  # as container engines do
        "mount -t tmpfs -o size=1m tmpfs $root/mnt",
        "touch $root/mnt/lecture",
        "mount --bind $video $root/mnt/lecture",
        "mount -o remount,bind,ro $root",
        "exec env -i PATH=$inside REDIS_URL=$url PYTHONDONTWRITEBYTECODE=1 $(which chroot) $root setpriv $drop $words",
    ]
    drop = f"--reuid={NOBODY} --regid={NOBODY} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all"
    given = {
        "root": str(root),
        "video": str(video or "/dev/null"),
        "inside": "/opt/lecturepulse/bin:/usr/local/bin:/usr/bin:/bin",
        "url": url,
        "drop": drop,
        "words": shlex.join(words),
    }
    command = ["unshare", "--mount", "sh", "-ec", "\n".join(steps)]
    return subprocess.Popen(command, env={**os.environ, **given}, text=True, stdout=out)


def _url(file: Path, port: int) -> str:
    return file.read_text().strip().removeprefix("REDIS_URL=").replace("redis:6379", f"127.0.0.1:{port}")


def _healthz(port: int) -> str:
    for _ in range(240):
        try:
            return str(urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).status)
        except OSError:
            time.sleep(0.25)
    return "no answer"


def _megabytes(folder: Path) -> float:
    done = subprocess.run(
        ["du", "--summarize", "--bytes", "--one-file-system", str(folder)], capture_output=True, check=True
    )
    return int(done.stdout.split()[0]) / 1e6


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
