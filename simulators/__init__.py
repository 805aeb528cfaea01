"""A plant that is not there: seeded instruments behind real Modbus, and the demonstration."""
