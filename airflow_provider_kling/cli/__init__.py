"""The command line: what models there are, what they take and cost, and whether a payload is good."""
