"""What `make demo` and `make airflow` run: the example DAG on a real Airflow, shown to a person."""
