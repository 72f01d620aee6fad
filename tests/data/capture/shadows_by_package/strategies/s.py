import email.parser
