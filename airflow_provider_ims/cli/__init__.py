"""Commands that the provider adds to Airflow's CLI."""
