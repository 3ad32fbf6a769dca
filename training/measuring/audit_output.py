"""An audit as a table for a terminal."""

from rich.table import Column, Table

from training.measuring.audit import Audit, Interval


def audit_table(audit: Audit) -> Table:
    """A row for each group."""
    numbers = ("pictures", "persons", "accuracy", "95 %", "ECE", "95 %", "ECE by chance")
    skipped = f", {sum(audit.skipped.values())} left out" if audit.skipped else ""
    title = f"{audit.dataset}: the {audit.mode} ensemble{skipped}"
    table = Table("", "group", *(Column(heading, justify="right") for heading in numbers), title=title)
    kind = ""
    for group in audit.groups:
        table.add_row(
            group.kind if group.kind != kind else "",
            group.value,
            str(group.n),
            "-" if group.persons is None else str(group.persons),
            f"{group.accuracy:.3f}",
            _shown(group.accuracy_interval),
            f"{group.ece:.3f}",
            _shown(group.ece_interval),
            f"{group.ece_by_chance:.3f}",
        )
        kind = group.kind
    return table


def _shown(interval: Interval) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}"
