"""One sandbox for one program: the host side here, the two processes inside in `tester` and `program`."""
