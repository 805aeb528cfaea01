"""Averages, corrections, validity and limits: the law as data, the arithmetic as pure functions."""
