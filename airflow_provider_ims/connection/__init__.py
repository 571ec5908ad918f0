"""From an Airflow connection to validated settings. Private: names may change."""
