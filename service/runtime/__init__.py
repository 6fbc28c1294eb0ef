"""The ground of every process: settings, errors, tasks, signals and secrets. It imports no other room."""
