"""The API's description of itself: OpenAPI, AsyncAPI, examples and the pages that show them."""
