"""End to end: the real `tokentide` command, real senders, the real store."""
