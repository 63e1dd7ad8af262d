"""What the commands do on one machine: begin a session, run a promotion, survey what a dry run shows."""
