"""What an operator types; one room each."""
