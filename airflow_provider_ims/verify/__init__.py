"""The verification kit: finds out what the real service returns where the vendor documents nothing.

``python -m airflow_provider_ims.verify``, see ``docs/verification.md``.
"""
