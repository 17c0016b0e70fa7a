"""siplab's user agent on PJSIP: `__main__` is the agent, `engine` the process that holds the library."""
