"""All tests: unit (pure, run by trial and by pytest), functional (real processes) and packaging."""
