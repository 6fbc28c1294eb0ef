"""The fold: polls records, decodes and batches them, and folds them into accounts together with their offsets."""
