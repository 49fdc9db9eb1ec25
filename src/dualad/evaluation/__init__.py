"""From predictions to a threshold, decisions and metrics."""
