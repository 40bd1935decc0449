"""Encoders whose weights others have published."""
