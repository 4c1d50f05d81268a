"""`python -m spotd` is `spotd`."""

from spotd.cli import main

if __name__ == "__main__":
    main()
