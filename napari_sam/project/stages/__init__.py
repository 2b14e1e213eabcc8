"""Stages of annotation: by hand, semi-automatic, automatic with an audit."""
