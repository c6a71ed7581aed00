"""Dictionaries: sparse autoencoders whose codes are selected, trained on batches with sparse codes throughout."""
