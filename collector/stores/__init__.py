"""The stores a collector can project its journal into."""
