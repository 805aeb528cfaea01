"""Tamper evidence: the tree over the journal, its checkpoints, exports and their offline proof."""
