"""Methods under one contract, and the jobs that fit and score them."""
