"""`python -m lagem` is the `lagem` command."""

from lagem.cli import main

if __name__ == "__main__":
    main()
