"""Concepts: what makes objects of one kind alike, learned from examples, and the candidates that they rank."""
