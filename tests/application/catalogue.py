"""The catalogue of the library."""

from daybook.contracts.catalogue import Catalogue

CATALOGUE = Catalogue.of_package("tests.application.contracts")
