"""`python -m worker` is the same as `worker`."""

from worker.contract.start import start


def main() -> None:
    """Run the command line."""
    start("worker.cli")


if __name__ == "__main__":
    main()
