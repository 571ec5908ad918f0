"""Sensors: waiting for a job that another task submitted."""
