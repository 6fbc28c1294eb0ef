"""Parts of the service together with the servers they talk to."""
