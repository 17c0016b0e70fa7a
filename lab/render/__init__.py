"""Plan to files: configurations, zones, certificates, compose."""
