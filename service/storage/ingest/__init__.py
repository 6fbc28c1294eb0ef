"""SQL of ingest: progress of partitions, folded events, dead letters and refused timestamps."""
