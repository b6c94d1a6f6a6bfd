"""Launcher: `python cli.py train` from a checkout does what the installed `dimref train` does."""

from dimref.__main__ import main

if __name__ == "__main__":
    main()
