"""What processes answer over HTTP: probes, metrics, customers."""
