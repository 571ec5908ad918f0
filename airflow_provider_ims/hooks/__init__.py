"""Hooks: settings and client, for operators and for tasks of your own."""
