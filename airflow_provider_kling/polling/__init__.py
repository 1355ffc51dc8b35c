"""When to poll, who may poll now, and what to ask next."""
