"""The command line: what each Kling model takes and costs, and whether a payload fits. Works offline but for ``diff``."""
