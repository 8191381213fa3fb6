"""Stamp oracle: random statements on versioned and stamped tables against a model of the rules."""
