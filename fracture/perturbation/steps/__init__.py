"""What solvers share, each file named by what it does."""
