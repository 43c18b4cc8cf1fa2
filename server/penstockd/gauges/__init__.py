"""What is counted elsewhere, and observed when somebody reads the metrics."""
