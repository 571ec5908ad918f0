"""What a job is, how it is waited for and how that ends. Knows no transport. Private: names may change."""
