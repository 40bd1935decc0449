"""The web report: pages that show run records, opened from disk without a server or network."""
