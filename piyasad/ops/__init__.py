"""Operations: the log, systemd, and the pages an operator's tools read."""
