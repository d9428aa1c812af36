"""`python -m openim_trio`: the same as the command `openim-trio`."""

from openim_trio.cli.main import main

if __name__ == "__main__":
    main()
