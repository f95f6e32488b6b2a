"""All contracts of this application, by type: every event in a module of this folder."""

from daybook.contracts.catalogue import Catalogue

CATALOGUE = Catalogue.of_package("events")
