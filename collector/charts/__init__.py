"""What charts show beside measurements: what was judged, the limits in force, gateways and links; as points."""
