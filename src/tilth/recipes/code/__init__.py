"""Methods that make programs and check them by running."""
