"""The HTTP API: thin handlers over `service.storage`, one module per resource."""
