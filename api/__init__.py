"""What people and scripts see: the HTTP interface, the page and the command line."""
