"""The labs' scenarios: a table of them, what they run in, and what runs them."""
