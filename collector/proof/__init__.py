"""Who may speak for a plant, and the proof that nothing was altered: identities, tree, checkpoints, exports."""
