"""Links: buttons in the task view of the Airflow UI."""
