"""`python -m piyasad`."""

from piyasad.cli import main

if __name__ == "__main__":
    main()
