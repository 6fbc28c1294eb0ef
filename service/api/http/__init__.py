"""HTTP of all resources: problems, bodies, pages and parameters."""
