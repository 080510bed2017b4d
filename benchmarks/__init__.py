"""Measurements of fastdescent beside the programs that its users would write instead."""
