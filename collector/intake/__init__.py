"""From the broker into the journal, and from the journal into the store."""
