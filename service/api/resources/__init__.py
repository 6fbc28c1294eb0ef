"""The resources of the API, one module each, with its document beside it."""
