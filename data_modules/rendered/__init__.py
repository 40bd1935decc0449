"""Datasets whose audio is rendered on this machine, from scores by people or by a program."""
