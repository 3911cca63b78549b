"""How a task is learnt: state, step, loop, checkpoints, reports. Knows no task."""
