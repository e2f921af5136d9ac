"""The verbs of the command line, one module a verb. Everything else can be used without it."""
