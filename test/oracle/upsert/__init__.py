"""Upsert oracle: random batches through every door of bulk upsert against SQL written by hand, row by row."""
