"""Where state lives: limits and budgets, and the ledger."""
