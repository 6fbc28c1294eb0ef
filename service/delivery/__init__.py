"""Webhook delivery: claim → prepare → send → decide → record, with no transaction open while sending."""
