"""dualad."""
