"""The state of an account: what usage, tickets, surveys and attributes leave behind, in bounded size."""
