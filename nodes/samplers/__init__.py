"""Conditioning and sampling for the four systems."""
