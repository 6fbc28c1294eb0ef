"""One-shot work over files: loading and exporting."""
