"""The API's own documentation: OpenAPI, AsyncAPI, examples and the pages that show them."""
