"""`python -m producer` is `producer`."""

from producer.cli import main

main()
