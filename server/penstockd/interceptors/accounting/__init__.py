"""What an attempt is charged: its account and settlement, who is denied, and whom a budget alarms."""
