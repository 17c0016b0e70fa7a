"""A lab that stays up for people: its owner holds it and listens on a socket, everybody else asks there."""
