"""The dual autoencoder, its training, its search and its scores."""
