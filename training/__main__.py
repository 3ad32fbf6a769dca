"""`python -m training` is the same as `training`."""

from worker.contract.start import start


def main() -> None:
    """Run the command line."""
    start("training.cli")


if __name__ == "__main__":
    main()
