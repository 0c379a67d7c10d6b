"""Pages in HTML that show results: curves, tables, and shapes that can be turned. Each page is one file."""
