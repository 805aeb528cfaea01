"""The sites the demonstration runs: the reference site and a second plant."""
