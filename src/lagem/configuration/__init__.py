"""What people may configure: checks of YAML files before a parser reads them, and bounds on numbers."""
