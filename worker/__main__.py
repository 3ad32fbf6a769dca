"""`python -m worker` is `worker`."""

from worker.contract.credentials import hide_credentials


def main() -> None:
    """Run the command line, after the credentials in it are hidden."""
    hide_credentials()
    try:
        from worker.cli import main
    except KeyboardInterrupt:  # loading takes a second
        raise SystemExit(130) from None
    main()


if __name__ == "__main__":
    main()
