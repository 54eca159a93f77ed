"""One paper, one solver, one file; and solvers made of solvers."""
