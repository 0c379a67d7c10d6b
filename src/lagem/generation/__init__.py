"""New shapes from a cascade: settings, generator, bundle, requests, report and run."""
