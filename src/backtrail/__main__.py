"""`python -m backtrail`: the command line."""

from backtrail.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
