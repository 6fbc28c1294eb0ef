"""Evaluation of accounts: events and policy in; scores, history, alerts and forecasts out."""
