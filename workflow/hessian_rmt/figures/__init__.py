"""Figures, by paper. They read statistics and spectra, and import no torch."""
