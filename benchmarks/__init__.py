"""Measurements that anyone can repeat: `make bench` writes their JSON files to `results/`."""
