"""Twin oracle: random statements on soft-deleted rows against a twin where they are really gone."""
