"""From a run's files (verdict.json, aggregates.json, trial.json, faults.jsonl) to what people and CI read.

Nothing here computes a statistic over operations: the checker wrote the figures, this draws them.
"""
