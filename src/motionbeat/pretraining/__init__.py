"""Training MotionBeat's two towers on music and the dances to it."""
