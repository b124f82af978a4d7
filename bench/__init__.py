"""The benchmark: this gateway, nginx and other gateways in one run, on the same cores, against the same mock upstream.

`python -m bench` runs it and writes docs/benchmarks.md; `python -m bench.hot` profiles the gateway under the same load.
Nothing here is part of the server, and the server knows nothing of it.
"""
