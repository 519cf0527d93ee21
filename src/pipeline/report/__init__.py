"""Tables, tests, figures and text of a comparison or a sweep, and what the stages print."""
