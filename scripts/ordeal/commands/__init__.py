"""One module a command: `parser()` describes it, `main(arguments, terminal)` runs it and returns an exit code."""
