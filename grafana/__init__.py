"""The Grafana pack: dashboards as code, their generated JSON, provisioning."""
