"""Following events through all services, and listing them."""
