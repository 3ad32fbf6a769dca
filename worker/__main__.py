"""`python -m worker` is `worker`."""

from worker.contract.shown import hide_credentials


def main() -> None:
    """Run the command line, once its words are fit to be seen."""
    hide_credentials()
    from worker.cli import main

    main()


if __name__ == "__main__":
    main()
