"""What screens are made of; a widget is handed values, and never asks the desk."""
