"""The dashboards of `grafana/` in a browser, for those who have no Grafana at hand: small and read-only."""
