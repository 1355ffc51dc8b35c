"""
What was wanted, sent, paid and made, in a database that outlives tasks, clears and runs.

It is optional: ``[kling] ledger_conn_id`` names its connection.
"""
