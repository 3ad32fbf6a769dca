"""The Grafana dashboards, as code. `python -m deploy.grafana` writes them to deploy/grafana/dashboards/.

What Grafana reads is the JSON there, which is committed; a test holds it equal to what this package makes.
"""
