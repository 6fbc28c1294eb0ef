"""`python -m service`: the `account-health` command, whatever the PATH is."""

from service.cli import main

if __name__ == "__main__":
    main()
