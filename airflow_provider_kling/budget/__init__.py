"""The cost limit of one DAG run, and what its jobs have cost."""

from airflow_provider_kling.budget.kling_budget import KlingBudget

__all__ = ["KlingBudget"]
