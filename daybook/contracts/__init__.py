"""What an event is: its contract, its envelope, its versions, and the catalogue of all contracts of an application."""
