"""The channels a notice can take."""
