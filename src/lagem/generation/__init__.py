"""New shapes out of a cascade: settings, generator, bundle, requests and report."""
