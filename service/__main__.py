"""`python -m service`: the `account-health` command, whatever the PATH is."""

from service.cli.main import main

if __name__ == "__main__":
    main()
