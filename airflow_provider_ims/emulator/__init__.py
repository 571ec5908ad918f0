"""A local Intelligent Media Services (IMS) for demonstrations, tests and continuous integration.

A real HTTP server in a process of its own. It checks what the service checks and answers in the service's shapes,
written from the vendor's protocol: it shares no code with the provider, so that it can be a witness against it.

Start it with ``python -m airflow_provider_ims.emulator``, or from Python with
:class:`airflow_provider_ims.emulator.process.EmulatorProcess`.
"""
