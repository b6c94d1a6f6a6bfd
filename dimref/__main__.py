"""`python -m dimref` is the console script `dimref`."""

from dimref.cli import main

main()
