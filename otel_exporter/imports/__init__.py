"""What other systems have recorded, brought in by the ordinary door."""
