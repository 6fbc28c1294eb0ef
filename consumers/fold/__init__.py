"""The consumers: records are polled, decoded, batched, and folded into accounts in one transaction with their offsets."""
