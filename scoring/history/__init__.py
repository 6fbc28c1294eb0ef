"""An account's runs of days with the same contributions, and the journal of what moved it."""
