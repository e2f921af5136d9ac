"""ReverseGen: a proposer that learns to ask what a target fails at."""
