"""`python -m producer` is `producer`."""

from worker.contract.shown import hide_credentials


def main() -> None:
    """Run the command line, once its words are fit to be seen."""
    hide_credentials()
    from producer.cli import main

    main()


if __name__ == "__main__":
    main()
