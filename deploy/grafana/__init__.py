"""The Grafana dashboards, as code. `python -m deploy.grafana` writes them to deploy/grafana/dashboards/.

Grafana reads the JSON there, which is committed. A test checks that it equals what this package makes.
"""
