"""Divergences on real pictures: Fashion-MNIST, one small teacher, several divergences and seeds."""
