"""Geometry of loss surfaces (`geometry`): laws, index curves, critical points."""
