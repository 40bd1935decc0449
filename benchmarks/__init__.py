"""Command line, runner, embedding store, encoders, records, leaderboards."""
