"""What runs beside the instruments: polls them, seals what they say, and delivers it without loss."""
