"""What a cluster must have, before anything of ours is deployed there."""
