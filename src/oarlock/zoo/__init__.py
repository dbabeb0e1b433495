"""Every named bug as a mutant: a small patch to the production code, hunted until a check catches it."""
