"""Foreign-key oracle: random schemas and transactions, soft deletes against a twin with real ones."""
