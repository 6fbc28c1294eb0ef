"""The consumers: records are polled, decoded, batched, and folded into accounts together with their offsets."""
