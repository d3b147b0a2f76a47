"""HTTP and everything around it: the ASGI application, TLS, injected faults and the control API
under `/emulator/`. This package translates HTTP into `ApiRequest` and `ApiResponse` and knows
nothing about SOQL or how records are saved. Only `app.py` and `server.py` import it.
"""
