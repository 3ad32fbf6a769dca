"""Commands of this program as child processes of the server: what a page does is what the command line does."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path

import producer
from producer.cells.naming import REDIS_VARIABLES

# The longest line that is read, in bytes. An event of the class has about 400.
MAX_LINE_BYTES = 1 << 20


async def start(redis: str | None, *words: str) -> Process:
    """`producer` with these words, on the Redis or the cells that `redis` names (None: the private Redis).

    It is in a session of its own, because Ctrl-C in the terminal is for the server.
    """
    env = {name: value for name, value in os.environ.items() if name not in REDIS_VARIABLES}
    if redis is not None:
        env["REDIS_URL"] = redis  # not an option: the process list would show its password
    command = (sys.executable, "-m", "producer", *words)
    here = Path(producer.__file__).parents[1]  # `-m` searches here first and finds this `producer`
    return await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, cwd=here, env=env, start_new_session=True,
        limit=MAX_LINE_BYTES,
    )  # fmt: skip


async def messages(child: Process) -> list[str]:
    """The messages of a child that was started, when it has ended: lines of standard error without its name."""
    _, errors = await child.communicate()
    return [line for each in errors.decode(errors="replace").splitlines() if (line := message(each))]


def message(line: str) -> str | None:
    """The message in a line of standard error; None if another program wrote it."""
    said = line.strip()
    return said.removeprefix("producer: ") if said.startswith("producer: ") else None
