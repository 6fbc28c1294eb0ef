"""Lists of accounts, filtered and sorted, page by page: call `page.page`."""
