"""Where state lives: limits, budgets, answers, idempotency keys and the ledger."""
