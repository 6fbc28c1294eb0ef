"""Lists of accounts, filtered and sorted, page by page: ask `page`."""
