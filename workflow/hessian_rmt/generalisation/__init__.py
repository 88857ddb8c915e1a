"""Iterate averages and training budgets (`applicability` section 8): statistics, without torch."""
