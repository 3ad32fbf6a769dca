"""`python -m producer` is the same as `producer`."""

from worker.contract.credentials import hide_credentials


def main() -> None:
    """Run the command line, after hiding credentials from the list of processes."""
    hide_credentials()
    try:
        from producer.cli import main
    except KeyboardInterrupt:  # loading takes a second
        raise SystemExit(130) from None
    main()


if __name__ == "__main__":
    main()
