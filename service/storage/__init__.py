"""The only SQL. Functions take the connection first and never commit; the edge commits."""
