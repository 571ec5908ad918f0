"""A local emulator of Intelligent Media Services (IMS) for demonstrations, tests and continuous integration.

A real HTTP server in its own process. It makes the checks of the service and returns responses in the service's shapes.
It is written from the vendor's documents and shares no code with the provider, so it checks the provider independently.

Start it with ``python -m airflow_provider_ims.emulator``, or from Python with
:class:`airflow_provider_ims.emulator.process.EmulatorProcess`.
"""
