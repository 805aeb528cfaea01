"""The ways to an instrument: Modbus links, read-only."""
