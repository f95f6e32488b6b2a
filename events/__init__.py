"""The contracts: what happened, in the words of the businesses. One module a service, and all that services share."""
