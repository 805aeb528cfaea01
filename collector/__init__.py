"""What receives: journals every batch, projects it into a store, and judges it as the law words it."""
