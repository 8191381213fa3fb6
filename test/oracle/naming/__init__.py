"""Naming oracle: random DDL against plain PostgreSQL, and against a model of the naming conventions."""
