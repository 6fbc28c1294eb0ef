"""The database itself: engine, tables, migrations, retries, errors and the clock."""
