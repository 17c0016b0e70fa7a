"""A SIP user agent of the lab's own: messages, transports, transactions, media. It imports nothing else of lab, so an image can copy it."""
