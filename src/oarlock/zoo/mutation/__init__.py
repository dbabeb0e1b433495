"""Mutants by rule of grammar: every place of the core and of the storage, changed in every small way there is."""
