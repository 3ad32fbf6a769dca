"""`python -m producer` is the same as `producer`."""

from worker.contract.start import start


def main() -> None:
    """Run the command line."""
    start("producer.cli")


if __name__ == "__main__":
    main()
