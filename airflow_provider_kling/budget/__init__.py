"""What the jobs of one DAG run may cost, and what they did."""

from airflow_provider_kling.budget.kling_budget import KlingBudget

__all__ = ["KlingBudget"]
