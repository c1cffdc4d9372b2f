"""Import of LOBSTER message files: a day of one stock's visible order flow on NASDAQ, one message a line."""
