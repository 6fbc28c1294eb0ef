"""The subcommands of `account-health`, one module per subject."""
