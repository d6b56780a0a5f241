"""Hold SMTP dialogues, and look at what a mail server did with them."""
