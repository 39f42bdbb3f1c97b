"""The doors through which returns come in: a mailbox by IMAP, a listener for LMTP or SMTP, and providers' webhooks."""
