"""The paper's numbers, and what follows from them by arithmetic."""
