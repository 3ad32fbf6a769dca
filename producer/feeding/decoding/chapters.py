"""The chapters that a container has (mp4, mkv and others)."""

from av.container import InputContainer

from worker.contract.chapters import Chapter, in_order


def chapters_in(container: InputContainer, start: float) -> list[Chapter]:
    """Its chapters, in seconds after `start` of its clock. None if it has too many, or only one."""
    found = [
        (float(each["start"] * each["time_base"]) - start, each["metadata"].get("title", ""))
        for each in container.chapters()
        if each["time_base"]
    ]
    try:
        return in_order(found) if len(found) > 1 else []
    except ValueError:  # they may be anything, and the user did not name them
        return []
