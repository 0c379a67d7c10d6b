"""Generate new shapes with a cascade: settings, generator, bundle, requests, report and run."""
