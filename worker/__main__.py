"""`python -m worker` is `worker`."""

from worker.contract.credentials import hide_credentials


def main() -> None:
    """Run the command line, once its words are fit to be seen."""
    hide_credentials()
    try:
        from worker.cli import main
    except KeyboardInterrupt:  # loading takes a second
        raise SystemExit(130) from None
    main()


if __name__ == "__main__":
    main()
