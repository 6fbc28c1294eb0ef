"""The layers that every request passes: logs, traces, load shedding, ETags and the bounded protocol."""
