"""Apache Airflow provider for Alibaba Cloud Intelligent Media Services (IMS)."""

__version__ = "0.1.0"
