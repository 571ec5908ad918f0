"""Operators: one class for each kind of job."""
