"""`piyasad check`: everything that could be wrong, each with its cure."""
