"""Images, charts and compose files, held against the tools and schemas that others read them with."""
