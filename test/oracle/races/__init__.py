"""Two sessions at once on tables with foreign keys: under soft delete, and on plain ones."""
