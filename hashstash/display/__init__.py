"""What people see: progress, cards and tables."""
