"""`producer roster`."""

from pathlib import Path
from typing import Annotated

from producer.commands.arguments import ArchiveOption, LectureArgument, RedisOption, output_option
from producer.commands.connecting import connected
from producer.reading.output_file import STANDARD_OUTPUT, check_absent, complete_or_absent


def roster(
    lecture: LectureArgument,
    output: Annotated[Path, output_option(".yaml; standard output without it")] = STANDARD_OUTPUT,
    redis: RedisOption = None,
    archive: ArchiveOption = None,
) -> None:
    """Write a roster to fill in: each participant's id, with the times and the place where they were seen."""
    check_absent(output)
    from producer.reading.roster_form import roster_form  # late: slow to load

    with connected(redis, lecture, archive) as store, complete_or_absent(output) as file:
        file.write(roster_form(store, lecture).encode())
