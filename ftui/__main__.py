"""`python -m ftui`: the same program as the `ftui` command."""

from ftui.cli.main import main

if __name__ == "__main__":
    main()
