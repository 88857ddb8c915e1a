"""The papers' claims, the rules that decide them, their verdicts. Nothing here imports torch."""
