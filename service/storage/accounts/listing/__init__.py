"""Lists of accounts, filtered and sorted, page by page. Only `page` is imported from outside: `page.page`."""
