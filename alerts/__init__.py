"""What people handle: incidents, who is told, over which channel, and the ledger of what was sent."""
