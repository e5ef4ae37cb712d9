"""What is sent to a cluster, and when: packages, variables, the files themselves."""
