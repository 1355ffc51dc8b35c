"""A paid job, submitted once: the attempt, its steps, the history match, and where records are saved."""
