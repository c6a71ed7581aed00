"""Tables written as text, such as CSV: detection of their format, and reading of their numbers and labels."""
