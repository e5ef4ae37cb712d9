"""What goes on by itself while a desk is open: in the daemon, or in a front end without one."""
