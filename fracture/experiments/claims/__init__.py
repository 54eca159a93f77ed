"""One file a claim: what is claimed, what is varied, what is measured, and the verdict."""
