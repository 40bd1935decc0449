"""``python -m motionbeat`` is the command ``motionbeat``."""

from motionbeat.benchmarks.cli import main

main()
