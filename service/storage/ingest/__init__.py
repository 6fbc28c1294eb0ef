"""SQL of ingest: progress of partitions, events seen, dead letters and refused timestamps."""
