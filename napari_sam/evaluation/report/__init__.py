"""Tables, figures and pages of an evaluation."""
