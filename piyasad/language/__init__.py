"""Turkish as the machine reads it: folding, words, questions, moods, topics."""
