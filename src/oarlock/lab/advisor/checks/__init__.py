"""One module for each piece of advice: what is looked for, and how."""
